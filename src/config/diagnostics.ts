import { printable } from "../lib/quote.ts";
import type { Path } from "../options/index.ts";

/** One error or warning about a configuration, with its place. */
export interface Diagnostic {
  severity: "error" | "warning";
  /** Source of the value: a file name, `environment variable X` or `--set x`. */
  source: string;
  /** Lines and columns begin at 1; both are undefined if the source is not a file. Columns count UTF-16 units, as editors do. */
  line: number | undefined;
  column: number | undefined;
  /** Path below `chihaya`: `http.addr`, `prehooks[0].name`; "" for the document itself. */
  path: string;
  /** The problem and its remedy. */
  message: string;
  /** The source line; undefined if the line holds a secret, or if the source is not a file. */
  excerpt: string | undefined;
}

/** The place where a value was written. */
export interface Origin {
  readonly source: string;
  /** Offset in the text of the file; -1 if the source is not a file. */
  readonly offset: number;
}

export type { Path };

/** Formats a path as people write it: `prehooks[0].options.whitelist[2]`. */
export function formatPath(path: Path): string {
  let text = "";
  for (const step of path) text += typeof step === "number" ? `[${step}]` : text === "" ? step : `.${step}`;
  return text;
}

/** Maximum length of a message in characters; a message may quote a long value of the file. */
const longestMessage = 400;

/** Puts a message on one line, without control characters that a terminal would obey. */
function legible(message: string): string {
  const cut = message.length > longestMessage ? `${message.slice(0, longestMessage - 3)}...` : message;
  return printable(cut.replaceAll("\t", " "));
}

/** Maximum number of errors, and of warnings: a broken file can have a million mistakes. */
const shownAtMost = 100;

/** Collects the diagnostics of one document and adds their positions. */
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
    // The value behind an alias is checked once for each use of the alias.
    const isRepeated = offset >= 0 && alike.some((old) => old.offset === offset && old.message === message);
    if (isRepeated || alike.length >= shownAtMost) return;
    const nowhere = { line: undefined, column: undefined, excerpt: undefined };
    this.#found.push({ severity, source, ...(position ?? nowhere), path: formatPath(path), message, offset });
  }

  get hasErrors(): boolean {
    return this.#found.some(({ severity }) => severity === "error");
  }

  /** Lists the diagnostics of one severity: first those from outside the file, then by position in the file. */
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

/** Characters of a long line that are shown around its mistake. */
const excerptWidth = 110;

/**
 * Formats each diagnostic as `file:line:column: path: message`, with its source line and a caret below. With `json`,
 * formats all as one JSON array on one line. The text ends with a newline unless it is empty.
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
