import type { YAMLParseError } from "yaml";
import { quote } from "../lib/quote.ts";

/** A syntax error and its place. */
export interface SyntaxProblem {
  offset: number;
  message: string;
}

const badIndent = "indentation does not fit the lines above; keys of one block begin in the same column";
const quoteAddress = 'quote an address that begins with a bracket, as "[::]:6969"';

/** Messages for common mistakes; other errors keep the parser's message. */
const messages: Record<string, string> = {
  TAB_AS_INDENT: "indented with a tab; YAML allows only spaces",
  BAD_INDENT: badIndent,
  MULTILINE_IMPLICIT_KEY:
    'a key without a value; write "key: value" on one line, with a space after the colon',
  BLOCK_AS_IMPLICIT_KEY: 'a second "key:" on one line; quote the value if it contains ": "',
  MULTIPLE_DOCS: 'more than one document; remove the line "---"',
  RESOURCE_EXHAUSTION: "nested too deeply",
  BAD_DQ_ESCAPE: "in double quotes a backslash begins an escape; write it twice, or use single quotes",
};

/**
 * Explains an error of the YAML parser. The parser reports many mistakes some lines too late, or on a correct line; this
 * finds the place to change.
 */
export function explainSyntaxError({ code, message, pos }: YAMLParseError, text: string): SyntaxProblem {
  const [offset] = pos;
  const openQuote = /^Missing closing (["'])quote/.exec(message)?.[1];
  if (openQuote !== undefined) {
    const at = lastUnescaped(text, openQuote, offset - 1);
    return {
      offset: at,
      message: `the quote that begins here is not closed; write ${openQuote} at the end of the value`,
    };
  }
  const flow = /^Flow (sequence|map) in block/.exec(message)?.[1];
  if (flow !== undefined) {
    const [open, close] = flow === "map" ? ["{", "}"] : ["[", "]"];
    return {
      offset: text.lastIndexOf(open!, offset),
      message: `${quote(open!)} is not closed; write ${quote(close!)} after it`,
    };
  }
  if (code === "UNEXPECTED_TOKEN") return explainLeftOver(text, offset, message);
  if (code === "BAD_SCALAR_START") {
    return { offset, message: `a value cannot begin with ${quote(text.charAt(offset))}; put it in quotes` };
  }
  return explainLayout(code, message, text, offset) ?? plain(code, message, text, offset);
}

/** Returns a message if the YAML parser has read the bracket of an IPv6 address as a list. */
export function explainBracket(text: string, offset: number): string | undefined {
  return /^\[[\da-f:.]*\]:\d/i.test(text.slice(offset, offset + 60)) ? quoteAddress : undefined;
}

function plain(code: string, message: string, text: string, offset: number): SyntaxProblem {
  const indent = code === "BAD_INDENT" ? indentAt(text, offset) : 0;
  const isLoneKey = message.startsWith("Implicit map keys");
  const known = messages[isLoneKey ? "MULTILINE_IMPLICIT_KEY" : code];
  return { offset: offset + indent, message: known ?? message.slice(0, 1).toLowerCase() + message.slice(1) };
}

function explainLeftOver(text: string, offset: number, message: string): SyntaxProblem {
  const bracket = text.lastIndexOf("[", offset);
  if (bracket >= lineStart(text, offset) && explainBracket(text, bracket) !== undefined) {
    return { offset: bracket, message: quoteAddress };
  }
  if (/["']/.test(text.charAt(offset - 1))) {
    return {
      offset,
      message: "text after the closing quote; put the whole value in one pair of quotes",
    };
  }
  return plain("", message, text, offset);
}

/** Explains lists and keys that are too far left or right: the parser reads them as parts of the line above. */
function explainLayout(
  code: string,
  message: string,
  text: string,
  offset: number,
): SyntaxProblem | undefined {
  if (message.startsWith("Sequence item without")) {
    return { offset: offset + indentAt(text, offset), message: badIndent };
  }
  if (code !== "BLOCK_AS_IMPLICIT_KEY" && code !== "MULTILINE_IMPLICIT_KEY" && code !== "MISSING_CHAR")
    return undefined;
  const start = lineStart(text, offset);
  const line = lineAt(text, start);
  if (/^ *-[^\s-]/.test(line)) {
    return { offset: start + line.indexOf("-"), message: 'write a space after the dash of a list: "- name"' };
  }
  const next = nextLine(text, start);
  const isDashBlamed = /^ *-( |$)/.test(line) && text.slice(start, offset).trim() === "";
  const dash = isDashBlamed ? start : message.includes("block sequence") ? next : undefined;
  if (dash !== undefined && /^ *-( |$)/.test(lineAt(text, dash))) {
    const column = dash + indentAt(text, dash);
    return {
      offset: column,
      message: "this dash is too far left; put all dashes of a list in one column, not left of its key",
    };
  }
  const value = text.slice(offset, start + line.length);
  if (next !== undefined && indentAt(text, next) > indentAt(text, start) && !/:( |$)/.test(value)) {
    return { offset: next + indentAt(text, next), message: badIndent };
  }
  return undefined;
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf("\n", offset - 1) + 1;
}

function lineAt(text: string, start: number): string {
  const end = text.indexOf("\n", start);
  return text.slice(start, end < 0 ? text.length : end).replace(/\r$/, "");
}

/** Returns the start of the next line that is not empty or a comment. */
function nextLine(text: string, start: number): number | undefined {
  for (let at = text.indexOf("\n", start) + 1; at > 0; at = text.indexOf("\n", at) + 1) {
    if (/^ *[^\s#]/.test(lineAt(text, at))) return at;
  }
  return undefined;
}

function indentAt(text: string, start: number): number {
  let at = start;
  while (text.charAt(at) === " ") at++;
  return at - start;
}

function lastUnescaped(text: string, character: string, from: number): number {
  let at = text.lastIndexOf(character, from);
  while (character === '"' && at > 0 && text.charAt(at - 1) === "\\")
    at = text.lastIndexOf(character, at - 1);
  return Math.max(at, 0);
}
