import { hexDigit } from "../../ip/address.ts";
import { ascii } from "../http/byte-writer.ts";

/** What {@link JsonScanner.nextKey} returns beside the number of a known key. */
export const Key = { end: -1, unknown: -2, malformed: -3 } as const;
/** What {@link JsonScanner.nextElement} returns. */
export const Element = { value: 0, end: -1, malformed: -3 } as const;

/** The most keys of one object. */
const mostKeys = 64;
/** The deepest nesting of objects and arrays. */
const deepest = 8;

const quote = 0x22;
const comma = 0x2c;
const minus = 0x2d;
const dot = 0x2e;
const zero = 0x30;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const u = 0x75;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const literals = ["true", "false", "null"].map(ascii);

/** The characters behind a backslash, without `u`, and the bytes that they stand for. */
const escapes = new Uint8Array(256);
for (const [letter, byte] of Object.entries({
  '"': quote,
  "\\": backslash,
  "/": 0x2f,
  b: 0x08,
  f: 0x0c,
  n: 0x0a,
  r: 0x0d,
  t: 0x09,
})) {
  escapes[letter.charCodeAt(0)] = byte;
}

/**
 * Reads JSON (RFC 8259) in place, without a string or an object for any part. The caller asks for one key, element or
 * value after the other.
 *
 * Refuses everything that JSON.parse refuses, and also: bytes that are not UTF-8, lone surrogates, nesting deeper than 8,
 * an object with more than 64 keys, and a known key twice in one object. libtorrent's parser refuses lone surrogates too, and closes its connection.
 *
 * Methods that return false or `malformed` leave the scanner somewhere inside the text. No method throws or allocates.
 */
export class JsonScanner {
  bytes: Uint8Array = new Uint8Array(0);
  /** All of the memory that has `bytes`; messages come from few such memories. */
  #view: DataView = new DataView(this.bytes.buffer);
  /** The offset of the next byte. */
  at = 0;
  #end = 0;
  #depth = 0;
  /** Of each object or array around the next byte, by depth: the number of keys or elements read, and a bit for each known key. */
  readonly #counts = new Uint32Array(deepest + 1);
  readonly #keysRead = new Uint32Array(deepest + 1);
  /** The last string, with its quotes, or the last number. */
  tokenStart = 0;
  tokenEnd = 0;
  /** Whether the last string has escapes or characters above U+007F. */
  #isEncoded = false;
  /** Whether the last number consists of digits only. */
  isDigits = false;
  readonly #keys: (readonly { id: number; name: Uint8Array }[])[] = [];
  readonly #key: Uint8Array;

  /** @param keys  the known keys, at most 32, in ASCII; the number of a key is its index */
  constructor(keys: readonly string[]) {
    for (const [id, text] of keys.entries()) {
      const name = ascii(text);
      this.#keys[name.length] = [...(this.#keys[name.length] ?? []), { id, name }];
    }
    this.#key = new Uint8Array(this.#keys.length);
    for (let length = 0; length < this.#keys.length; length++) this.#keys[length] ??= [];
  }

  /** Starts at the first byte of `bytes[start..end)` that is not whitespace. */
  open(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    if (this.#view.buffer !== bytes.buffer) this.#view = new DataView(bytes.buffer);
    this.at = start;
    this.#end = end;
    this.#depth = 0;
    this.#skipSpace();
  }

  /** Returns whether only whitespace is left. */
  isAtEnd(): boolean {
    this.#skipSpace();
    return this.at === this.#end;
  }

  /** Returns the byte that the next value begins with, or -1 at the end. */
  peek(): number {
    return this.at < this.#end ? this.bytes[this.at]! : -1;
  }

  isString(): boolean {
    return this.peek() === quote;
  }
  isArray(): boolean {
    return this.peek() === openBracket;
  }
  isObject(): boolean {
    return this.peek() === openBrace;
  }
  isNumber(): boolean {
    const byte = this.peek();
    return byte === minus || isDigit(byte);
  }
  isNull(): boolean {
    return this.peek() === 0x6e;
  }

  /** Enters the object or array that {@link peek} showed. @returns false if it is too deep */
  enter(): boolean {
    this.at++;
    if (++this.#depth > deepest) return false;
    this.#counts[this.#depth] = this.#keysRead[this.#depth] = 0;
    return true;
  }

  /** Moves to the next value of the object that was entered. @returns the number of the value's key, or a {@link Key} */
  nextKey(): number {
    this.#skipSpace();
    if (this.peek() === closeBrace) return this.#leave();
    const count = this.#counts[this.#depth]!++;
    if (count === mostKeys) return Key.malformed;
    if (count > 0 && !this.#skip(comma)) return Key.malformed;
    if (!this.isString() || !this.readString()) return Key.malformed;
    const key = this.#knownKey();
    if (key >= 0 && (this.#keysRead[this.#depth]! & (1 << key)) !== 0) return Key.malformed;
    if (key >= 0) this.#keysRead[this.#depth]! |= 1 << key;
    this.#skipSpace();
    return this.#skip(colon) ? key : Key.malformed;
  }

  /** Moves to the next value of the array that was entered. */
  nextElement(): number {
    this.#skipSpace();
    if (this.peek() === closeBracket) return this.#leave();
    return this.#counts[this.#depth]!++ === 0 || this.#skip(comma) ? Element.value : Element.malformed;
  }

  /** Reads past any value. @returns false if the value is malformed */
  skipValue(): boolean {
    const byte = this.peek();
    if (byte === quote) return this.readString();
    if (byte === openBrace) return this.#skipObject();
    if (byte === openBracket) return this.#skipArray();
    if (byte === minus || isDigit(byte)) return this.readNumber();
    return this.#skipLiteral();
  }

  /**
   * Reads the string that {@link isString} has found; the token includes the quotes. Looks at four bytes at once where they
   * are plain (10 offers of 650 bytes: 22 µs byte by byte).
   * @returns false if the string is malformed
   */
  readString(): boolean {
    const { bytes } = this;
    const end = this.#end;
    const view = this.#view;
    const offset = bytes.byteOffset;
    const lastWord = end - 4;
    this.tokenStart = this.at;
    this.#isEncoded = false;
    let i = this.at + 1;
    while (i < end) {
      if (i <= lastWord) {
        const special = specialBytes(view.getInt32(offset + i, true));
        if (special === 0) {
          i += 4;
          continue;
        }
        i += (31 - Math.clz32(special & -special)) >> 3;
      }
      const byte = bytes[i]!;
      if (byte === backslash) {
        this.#isEncoded = true;
        const letter = i + 1 < end ? bytes[i + 1]! : 0;
        i = escapes[letter] === 0 ? this.#skipUnicodeEscape(i) : i + 2;
      } else if (byte === quote) {
        this.at = this.tokenEnd = i + 1;
        return true;
      } else if (byte >= 0x80) {
        this.#isEncoded = true;
        i = this.#skipCharacter(i);
      } else if (byte < 0x20) {
        return false;
      } else {
        i++;
      }
      if (i < 0) return false;
    }
    return false;
  }

  /** Reads the number that {@link isNumber} has found. @returns false if it is malformed */
  readNumber(): boolean {
    const start = this.at;
    this.tokenStart = start;
    if (this.peek() === minus) this.at++;
    // No digit may follow a first 0: the caller finds that digit where a comma or the end must be.
    if (this.peek() === zero) this.at++;
    else if (!this.#skipDigits()) return false;
    this.isDigits = this.bytes[start] !== minus;
    if (this.peek() === dot) {
      this.isDigits = false;
      this.at++;
      if (!this.#skipDigits()) return false;
    }
    if ((this.peek() | 0x20) === 0x65) {
      this.isDigits = false;
      this.at++;
      const sign = this.peek();
      if (sign === 0x2b || sign === minus) this.at++;
      if (!this.#skipDigits()) return false;
    }
    this.tokenEnd = this.at;
    return true;
  }

  /**
   * Decodes the last string as a binary string: one character from U+0000 to U+00FF for each byte.
   * @returns the number of bytes, or -1 if there are more than `limit` or a character is above U+00FF
   */
  decodeBinary(out: Uint8Array, at: number, limit: number): number {
    const { bytes } = this;
    const last = this.tokenEnd - 1;
    let length = 0;
    for (let i = this.tokenStart + 1; i < last; length++) {
      if (length === limit) return -1;
      let byte = bytes[i++]!;
      if (byte === backslash) {
        const letter = bytes[i++]!;
        if (letter === u) {
          if (bytes[i] !== zero || bytes[i + 1] !== zero) return -1;
          byte = (hexDigit(bytes[i + 2]!) << 4) | hexDigit(bytes[i + 3]!);
          i += 4;
        } else {
          byte = escapes[letter]!;
        }
      } else if (byte >= 0x80) {
        if (byte > 0xc3) return -1;
        byte = ((byte & 3) << 6) | (bytes[i++]! & 0x3f);
      }
      out[at + length] = byte;
    }
    return length;
  }

  #leave(): typeof Key.end {
    this.at++;
    this.#depth--;
    return Key.end;
  }

  /** Skips `byte` and the whitespace behind it. @returns false if another byte is there */
  #skip(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.at++;
    this.#skipSpace();
    return true;
  }

  #skipSpace(): void {
    const { bytes } = this;
    const end = this.#end;
    let at = this.at;
    while (at < end) {
      const byte = bytes[at]!;
      if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break;
      at++;
    }
    this.at = at;
  }

  #skipObject(): boolean {
    if (!this.enter()) return false;
    for (;;) {
      const key = this.nextKey();
      if (key === Key.end) return true;
      if (key === Key.malformed || !this.skipValue()) return false;
    }
  }

  #skipArray(): boolean {
    if (!this.enter()) return false;
    for (;;) {
      const element = this.nextElement();
      if (element === Element.end) return true;
      if (element === Element.malformed || !this.skipValue()) return false;
    }
  }

  #skipLiteral(): boolean {
    for (let i = 0; i < literals.length; i++) {
      const literal = literals[i]!;
      if (this.#end - this.at >= literal.length && isAt(this.bytes, this.at, literal)) {
        this.at += literal.length;
        return true;
      }
    }
    return false;
  }

  /** Skips one digit or more. */
  #skipDigits(): boolean {
    const start = this.at;
    while (isDigit(this.peek())) this.at++;
    return this.at > start;
  }

  /** @returns the offset behind the escape `\uXXXX` at `at`, or -1 for another escape or a lone surrogate */
  #skipUnicodeEscape(at: number): number {
    const unit = this.#escapedUnit(at);
    if (unit < 0xd800 || unit > 0xdfff) return unit < 0 ? -1 : at + 6;
    if (unit > 0xdbff) return -1;
    const low = this.#escapedUnit(at + 6);
    return low >= 0xdc00 && low <= 0xdfff ? at + 12 : -1;
  }

  /** @returns the number in the escape `\uXXXX` at `at`, or -1 if no such escape is there */
  #escapedUnit(at: number): number {
    const { bytes } = this;
    if (at + 6 > this.#end || bytes[at] !== backslash || bytes[at + 1] !== u) return -1;
    let unit = 0;
    for (let i = at + 2; i < at + 6; i++) {
      const digit = hexDigit(bytes[i]!);
      if (digit < 0) return -1;
      unit = (unit << 4) | digit;
    }
    return unit;
  }

  /** @returns the offset behind the UTF-8 of one character above U+007F at `at`, or -1 for malformed UTF-8 */
  #skipCharacter(at: number): number {
    const first = this.bytes[at]!;
    if (first < 0xc2 || first > 0xf4) return -1;
    const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (at + length > this.#end) return -1;
    const second = this.bytes[at + 1]!;
    // no overlong forms, no surrogates, nothing above U+10FFFF
    const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    if (second < least || second > most) return -1;
    for (let i = at + 2; i < at + length; i++) if ((this.bytes[i]! & 0xc0) !== 0x80) return -1;
    return at + length;
  }

  /** @returns the number of the key that was read last, or `unknown` */
  #knownKey(): number {
    let { bytes } = this;
    let start = this.tokenStart + 1;
    let length = this.tokenEnd - 1 - start;
    if (this.#isEncoded) {
      bytes = this.#key;
      start = 0;
      length = this.decodeBinary(bytes, 0, bytes.length);
    }
    if (length < 0 || length >= this.#keys.length) return Key.unknown;
    const candidates = this.#keys[length]!;
    for (let i = 0; i < candidates.length; i++) {
      const { id, name } = candidates[i]!;
      if (isAt(bytes, start, name)) return id;
    }
    return Key.unknown;
  }
}

/**
 * Marks the bytes of a word that are controls, quotes, backslashes or above U+007F, by their highest bits. Above the first marked
 * byte, a mark may be wrong.
 */
function specialBytes(word: number): number {
  const controls = word - 0x20202020;
  const quotes = (word ^ 0x22222222) - 0x01010101;
  const backslashes = (word ^ 0x5c5c5c5c) - 0x01010101;
  return (word | controls | quotes | backslashes) & 0x80808080;
}

function isDigit(byte: number): boolean {
  return byte >= zero && byte <= 0x39;
}

function isAt(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i++) if (bytes[at + i] !== expected[i]) return false;
  return true;
}
