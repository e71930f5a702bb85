/**
 * A decoded value. An integer is a number if a number holds it exactly, else a bigint. A string is bytes, a view of the
 * input. Keys of a dictionary are Latin-1 text, one character a byte, in the order of the input.
 */
export type Bencode = number | bigint | Uint8Array | Bencode[] | Map<string, Bencode>;

/** Reports bytes that are not bencode, or that exceed the limits. */
export class BencodeError extends Error {
  /** Offset of the first wrong byte. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(`${message} at byte ${offset}`);
    this.name = "BencodeError";
    this.offset = offset;
  }
}

export interface DecodeLimits {
  /** Nesting of lists and dictionaries; 32 by default. */
  maxDepth?: number;
  /** Bytes of the input; 1 MiB by default. */
  maxLength?: number;
  /** Whether keys must be sorted, as BEP 3 demands; false by default, since real trackers do not sort keys. */
  sortedKeys?: boolean;
}

/** Digits of the longest integer, far more than 64 bits. Parsing takes time quadratic in the digits. */
const maxDigits = 40;

/**
 * Decodes one bencoded value that fills `bytes` (BEP 3). Strict: leading zeros, `-0`, repeated keys and trailing bytes
 * are errors.
 * @throws BencodeError
 */
export function decodeBencode(bytes: Uint8Array, limits: DecodeLimits = {}): Bencode {
  const { maxDepth = 32, maxLength = 2 ** 20, sortedKeys = false } = limits;
  if (bytes.length > maxLength) throw new BencodeError("too long", maxLength);
  const decoder = new Decoder(bytes, maxDepth, sortedKeys);
  const value = decoder.value(0);
  if (decoder.at < bytes.length) throw new BencodeError("unexpected data after the value", decoder.at);
  return value;
}

const letter = {
  d: 0x64,
  e: 0x65,
  i: 0x69,
  l: 0x6c,
  colon: 0x3a,
  minus: 0x2d,
  zero: 0x30,
  nine: 0x39,
} as const;

class Decoder {
  readonly #bytes: Uint8Array;
  readonly #maxDepth: number;
  readonly #sortedKeys: boolean;
  at = 0;

  constructor(bytes: Uint8Array, maxDepth: number, sortedKeys: boolean) {
    this.#bytes = bytes;
    this.#maxDepth = maxDepth;
    this.#sortedKeys = sortedKeys;
  }

  value(depth: number): Bencode {
    switch (this.#bytes[this.at]) {
      case letter.i:
        this.at++;
        return this.#integer(letter.e);
      case letter.l:
        return this.#list(depth);
      case letter.d:
        return this.#dictionary(depth);
      default:
        return this.#string();
    }
  }

  #fail(message: string, at = this.at): never {
    throw new BencodeError(at < this.#bytes.length ? message : "unexpected end", at);
  }

  /** Reads decimal digits and the terminator behind them. */
  #integer(terminator: number): number | bigint {
    const bytes = this.#bytes;
    const start = this.at;
    let i = start;
    if (terminator === letter.e && bytes[i] === letter.minus) i++;
    const digits = i;
    while (bytes[i]! >= letter.zero && bytes[i]! <= letter.nine) {
      if (++i - digits > maxDigits) this.#fail("integer too long", start);
    }
    if (i === digits) this.#fail("expected a digit", i);
    if (bytes[digits] === letter.zero && (i > digits + 1 || digits > start)) {
      this.#fail("integer not in its shortest form", start);
    }
    if (bytes[i] !== terminator) this.#fail(`expected "${String.fromCharCode(terminator)}"`, i);
    this.at = i + 1;
    const text = String.fromCharCode(...bytes.subarray(start, i));
    return Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text);
  }

  #string(): Uint8Array {
    const first = this.#bytes[this.at];
    if (first === undefined || first < letter.zero || first > letter.nine) this.#fail("expected a value");
    const start = this.at;
    const length = this.#integer(letter.colon);
    const left = this.#bytes.length - this.at;
    if (length > left) throw new BencodeError("string longer than the data", start);
    const text = this.#bytes.subarray(this.at, this.at + Number(length));
    this.at += Number(length);
    return text;
  }

  #list(depth: number): Bencode[] {
    const items: Bencode[] = [];
    this.#enter(depth);
    while (this.#bytes[this.at] !== letter.e) items.push(this.value(depth + 1));
    this.at++;
    return items;
  }

  #dictionary(depth: number): Map<string, Bencode> {
    const entries = new Map<string, Bencode>();
    this.#enter(depth);
    let last = "";
    while (this.#bytes[this.at] !== letter.e) {
      const at = this.at;
      const key = latin1(this.#string());
      if (entries.has(key)) this.#fail("repeated key", at);
      if (this.#sortedKeys && key < last) this.#fail("unsorted key", at);
      last = key;
      entries.set(key, this.value(depth + 1));
    }
    this.at++;
    return entries;
  }

  #enter(depth: number): void {
    if (depth >= this.#maxDepth) this.#fail("nested too deep");
    this.at++;
  }
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
