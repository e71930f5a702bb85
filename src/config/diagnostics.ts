import { printable } from "../lib/quote.ts";
import type { Path } from "../options/index.ts";

/** One thing that is wrong (or doubtful) in a configuration, and where. */
export interface Diagnostic {
  severity: "error" | "warning";
  /** What the value comes from: a file's name, `environment variable X` or `--set x=y`. */
  source: string;
  /** Both from 1; undefined where the source is no file. Columns count UTF-16 units, as editors do. */
  line: number | undefined;
  column: number | undefined;
  /** Below `chihaya`: `http.addr`, `prehooks[0].name`; "" for the document itself. */
  path: string;
  /** What is wrong, and what would be right. */
  message: string;
  /** The source line; undefined where it holds a secret, or there is none. */
  excerpt: string | undefined;
}

/** Where a value was written. */
export interface Origin {
  readonly source: string;
  /** Offset in the text of the file; -1 where the source is no file. */
  readonly offset: number;
}

export type { Path };

/** Formats a path as people write it: `prehooks[0].options.whitelist[2]`. */
export function formatPath(path: Path): string {
  let text = "";
  for (const step of path) text += typeof step === "number" ? `[${step}]` : text === "" ? step : `.${step}`;
  return text;
}

/** Characters of a message at most: it may name something from the file. */
const longestMessage = 400;

/** A message on one line that cannot do anything to a terminal. */
function legible(message: string): string {
  const cut = message.length > longestMessage ? `${message.slice(0, longestMessage - 3)}...` : message;
  return printable(cut.replaceAll("\t", " "));
}

/** Messages that are shown at most; a broken file can hold a million mistakes. */
const shownAtMost = 100;

/** Collects diagnostics of one document and gives them their positions. */
export class Diagnostics {
  readonly #found: (Diagnostic & { offset: number })[] = [];
  readonly #file: string;
  readonly #text: string;
  readonly #secretKeys: readonly string[];
  #lineStarts: number[] | undefined;

  /** @param secretKeys  keys whose lines are never shown */
  constructor(file: string, text: string, secretKeys: readonly string[] = []) {
    this.#file = file;
    this.#text = text;
    this.#secretKeys = secretKeys;
  }

  error(at: Origin, path: Path, message: string): void {
    this.#add("error", at, path, message);
  }

  warning(at: Origin, path: Path, message: string): void {
    this.#add("warning", at, path, message);
  }

  #add(severity: "error" | "warning", at: Origin, path: Path, text: string): void {
    const { source, offset } = at;
    const message = legible(text);
    const position = offset < 0 || source !== this.#file ? undefined : this.#position(offset);
    const alike = this.#found.filter((old) => old.severity === severity);
    // What an alias stands for is seen once for each time it is used.
    const isRepeated = offset >= 0 && alike.some((old) => old.offset === offset && old.message === message);
    if (isRepeated || alike.length >= shownAtMost) return;
    const nowhere = { line: undefined, column: undefined, excerpt: undefined };
    this.#found.push({ severity, source, ...(position ?? nowhere), path: formatPath(path), message, offset });
  }

  get hasErrors(): boolean {
    return this.#found.some(({ severity }) => severity === "error");
  }

  /** Those of one severity: first what was given outside of the file, then by position. */
  list(severity: "error" | "warning"): Diagnostic[] {
    return this.#found
      .filter((diagnostic) => diagnostic.severity === severity)
      .sort((a, b) => a.offset - b.offset)
      .map(({ offset: _, ...diagnostic }) => diagnostic);
  }

  #position(offset: number): { line: number; column: number; excerpt: string | undefined } {
    this.#lineStarts ??= lineStarts(this.#text);
    const starts = this.#lineStarts;
    let line = 0;
    for (let high = starts.length; high - line > 1; ) {
      const middle = (line + high) >> 1;
      if (starts[middle]! <= offset) line = middle;
      else high = middle;
    }
    const start = starts[line]!;
    const excerpt = this.#text
      .slice(start, (starts[line + 1] ?? this.#text.length + 1) - 1)
      .replace(/\r$/, "");
    const hasPassword = /\/\/\S*[@?#]/.test(excerpt); // an item of a list is on another line than its key
    const hidden = hasPassword || this.#secretKeys.some((key) => excerpt.includes(key));
    return { line: line + 1, column: offset - start + 1, excerpt: hidden ? undefined : excerpt };
  }
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/** The part of a long line that is shown around its mistake. */
const excerptWidth = 110;

/**
 * Formats diagnostics for people, each as `file:line:column: path: message` with its source line and a caret
 * below; or, with `json`, as one JSON array on one line. Ends with a newline, unless there are none.
 */
export function formatDiagnostics(
  diagnostics: readonly Diagnostic[],
  options: { json?: boolean } = {},
): string {
  if (options.json) return `${JSON.stringify(diagnostics)}\n`;
  return diagnostics.map(formatDiagnostic).join("");
}

function formatDiagnostic(diagnostic: Diagnostic): string {
  const { severity, source, line, column, path, message, excerpt } = diagnostic;
  let text = printable(source);
  if (line !== undefined) text += `:${line}:${column}`;
  text += ": ";
  if (severity === "warning") text += "warning: ";
  if (path !== "") text += `${printable(path)}: `;
  text += `${message}\n`;
  if (excerpt === undefined || excerpt.trim() === "" || column === undefined) return text;
  const from = column > excerptWidth - 20 ? column - 60 : 0;
  const shown = printable(excerpt.slice(from, from + excerptWidth));
  const margin = `${line} | `;
  const indent = shown.slice(0, column - 1 - from).replace(/[^\t]/g, " ");
  return `${text}  ${margin}${shown}\n  ${" ".repeat(margin.length - 2)}| ${indent}^\n`;
}
