import { isUtf8 } from "node:buffer";
import type { Pace } from "../../lib/pace.ts";

/** Reports an error in the contents of a list. */
export class ListError extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.name = "ListError";
    this.line = line;
  }
}

/** Adds the entry in `bytes[start..end)`, which may have a comment. @returns the problem of the entry, or undefined */
export type TakeEntry = (bytes: Uint8Array, start: number, end: number) => string | undefined;

/** Bytes that one step reads. */
const stepBytes = 16_384;
/** Longest line. */
const maxLine = 65_536;

const [
  tab,
  newline,
  carriageReturn,
  space,
  quote,
  hash,
  comma,
  semicolon,
  openBracket,
  backslash,
  closeBracket,
] = [0x09, 0x0a, 0x0d, 0x20, 0x22, 0x23, 0x2c, 0x3b, 0x5b, 0x5c, 0x5d];

/**
 * Reads a list from a stream: one entry per line, or a JSON array of texts. An array begins with `[`. Blank lines, and
 * lines that begin with `#` or `;`, are comments. UTF-8, with or without a byte order mark. Lines end with LF, CRLF or
 * CR. Errors describe the problem without quoting the file, because a wrong file may hold a secret.
 * @throws ListError for the first error. A list of zero bytes is an error, because a file has zero bytes while a program
 *   begins to write it
 */
export async function readList(
  chunks: AsyncIterable<Uint8Array>,
  take: TakeEntry,
  pace: Pace,
): Promise<void> {
  let reader: LineReader | ArrayReader | undefined;
  let rest: Uint8Array = new Uint8Array(0);
  let isFirst = true;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += stepBytes) {
      const step = chunk.subarray(at, at + stepBytes);
      let bytes = rest.length === 0 ? step : Buffer.concat([rest, step]);
      if (isFirst) {
        if (bytes.length < 3) {
          rest = bytes.slice();
          continue;
        }
        bytes = withoutMark(bytes);
        isFirst = false;
      }
      reader ??= readerFor(bytes, take);
      const used = reader?.read(bytes) ?? 0;
      rest = bytes.slice(used);
      if (rest.length > maxLine) throw new ListError(reader?.line ?? 1, `longer than ${maxLine} bytes`);
      await pace.step();
    }
  }
  if (isFirst) rest = withoutMark(rest);
  if (reader === undefined && rest.length === 0)
    throw new ListError(1, "the list is empty; write a comment into a list without entries");
  reader ??= readerFor(rest, take) ?? new LineReader(take);
  reader.finish(rest);
}

function withoutMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

/** Returns a reader by the first character; undefined while there is only white space. */
function readerFor(bytes: Uint8Array, take: TakeEntry): LineReader | ArrayReader | undefined {
  const at = bytes.findIndex((byte) => !isSpace(byte));
  if (at < 0) return undefined;
  return bytes[at] === openBracket ? new ArrayReader(take) : new LineReader(take);
}

function isSpace(byte: number): boolean {
  return byte === space || (byte >= tab && byte <= 0x0d);
}

class LineReader {
  line = 1;
  readonly #take: TakeEntry;

  constructor(take: TakeEntry) {
    this.#take = take;
  }

  /** @returns the number of bytes read: whole lines */
  read(bytes: Uint8Array): number {
    // A CR at the very end may be half of a CRLF.
    const lastReturn = bytes.length < 2 ? -1 : bytes.lastIndexOf(carriageReturn, bytes.length - 2);
    const end = Math.max(bytes.lastIndexOf(newline), lastReturn) + 1;
    if (end > 0 && !isUtf8(bytes.subarray(0, end))) this.#refuseEncoding(bytes, end);
    for (let at = 0; at < end; ) {
      const to = lineEnd(bytes, at);
      this.#readLine(bytes, at, to);
      at = nextLine(bytes, to);
    }
    return end;
  }

  finish(rest: Uint8Array): void {
    if (!isUtf8(rest)) throw new ListError(this.line, "not UTF-8");
    this.#readLine(rest, 0, rest.length);
  }

  #readLine(bytes: Uint8Array, start: number, end: number): void {
    while (start < end && isSpace(bytes[start]!)) start++;
    while (end > start && isSpace(bytes[end - 1]!)) end--;
    if (start < end && bytes[start] !== hash && bytes[start] !== semicolon) {
      const wrong = this.#take(bytes, start, end);
      if (wrong !== undefined) throw new ListError(this.line, wrong);
    }
    this.line++;
  }

  #refuseEncoding(bytes: Uint8Array, end: number): never {
    for (let at = 0; at < end; ) {
      const next = nextLine(bytes, lineEnd(bytes, at));
      if (!isUtf8(bytes.subarray(at, next))) break;
      this.line++;
      at = next;
    }
    throw new ListError(this.line, "not UTF-8");
  }
}

/** Returns the end of the line at `at`. The caller knows that the line ends. */
function lineEnd(bytes: Uint8Array, at: number): number {
  while (bytes[at] !== newline && bytes[at] !== carriageReturn) at++;
  return at;
}

function nextLine(bytes: Uint8Array, end: number): number {
  return end + (bytes[end] === carriageReturn && bytes[end + 1] === newline ? 2 : 1);
}

/** The tokens that may follow in an array. */
type Expected = "[" | "a text or ]" | "a text" | ", or ]" | "nothing";

class ArrayReader {
  line = 1;
  #expected: Expected = "[";
  readonly #take: TakeEntry;

  constructor(take: TakeEntry) {
    this.#take = take;
  }

  /** @returns the number of bytes read: all but an incomplete text */
  read(bytes: Uint8Array): number {
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (byte === newline) this.line++;
      if (isSpace(byte)) continue;
      const expected = this.#expected;
      if (byte === openBracket && expected === "[") this.#expected = "a text or ]";
      else if (byte === closeBracket && expected.endsWith("]")) this.#expected = "nothing";
      else if (byte === comma && expected === ", or ]") this.#expected = "a text";
      else if (byte === quote && expected.startsWith("a text")) {
        const end = bytes.indexOf(quote, at + 1);
        if (end < 0) return at;
        this.#readText(bytes, at + 1, end);
        this.#expected = ", or ]";
        at = end;
      } else
        throw new ListError(
          this.line,
          `expected ${expected}, got ${JSON.stringify(String.fromCharCode(byte))}`,
        );
    }
    return bytes.length;
  }

  finish(rest: Uint8Array): void {
    if (this.read(rest) < rest.length || this.#expected !== "nothing") {
      throw new ListError(this.line, "the list ends in the middle of the array");
    }
  }

  #readText(bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end; at++) {
      if (bytes[at] === backslash || bytes[at]! < space)
        throw new ListError(this.line, "an entry with an escape or a control character");
    }
    const wrong = this.#take(bytes, start, end);
    if (wrong !== undefined) throw new ListError(this.line, wrong);
  }
}
