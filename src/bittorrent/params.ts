import { hexDigit } from "../ip/address.ts";
import { latin1 } from "../lib/latin1.ts";

const none = new Uint8Array(0);
const noRoute: ReadonlyMap<string, string> = new Map();

/** Finds the parameters in the path `bytes[start..pathEnd)` by patterns: the router of a protocol. */
export interface RouteMatcher {
  match(
    bytes: Uint8Array,
    start: number,
    pathEnd: number,
  ): { readonly params: ReadonlyMap<string, string> | undefined } | undefined;
}

/**
 * The part of a request that only hooks read: path, query and the parameters of the route. Over UDP these come from the
 * URL data of BEP 41.
 *
 * Text is Latin-1, one character a byte, so no byte is lost. Decoding happens on demand: a request that no hook looks
 * into costs nothing.
 */
export class Params {
  #bytes: Uint8Array = none;
  #pathStart = 0;
  #pathEnd = 0;
  #queryEnd = 0;
  #query: string | undefined;
  #route: ReadonlyMap<string, string> | undefined;
  /**
   * Matches the route of a path when a hook asks for a parameter; undefined if the routes have no parameters. Kept
   * across requests.
   */
  routes: RouteMatcher | undefined;

  /**
   * Points at a request target: `bytes[start..pathEnd)` is the path; if `pathEnd < end`, a `?` is at `pathEnd` and the
   * query reaches to `end`. The frontend owns the bytes, which stay valid until its handler returns; {@link detach}
   * keeps a copy.
   */
  set(bytes: Uint8Array, start: number, pathEnd: number, end: number): void {
    this.#bytes = bytes;
    this.#pathStart = start;
    this.#pathEnd = pathEnd;
    this.#queryEnd = end;
    this.#query = undefined;
    this.#route = undefined;
  }

  /** Drops the last request. */
  clear(): void {
    this.set(none, 0, 0, 0);
  }

  /** Sets the parameters that the frontend's router found in the path. */
  setRoute(route: ReadonlyMap<string, string>): void {
    this.#route = route;
  }

  /** Copies path and query, so that they outlive the frontend's buffer. */
  detach(): void {
    const length = this.#queryEnd - this.#pathStart;
    if (length === 0) return;
    // Not slice(): a Buffer's slice is a view of the same memory.
    this.#bytes = new Uint8Array(this.#bytes.subarray(this.#pathStart, this.#queryEnd));
    this.#pathEnd -= this.#pathStart;
    this.#queryEnd = length;
    this.#pathStart = 0;
  }

  /** The raw path, not decoded: `/announce`. */
  get path(): string {
    return latin1(this.#bytes, this.#pathStart, this.#pathEnd);
  }

  /**
   * Copies the first segment of the path that consists of `out.length` letters and digits. Never allocates.
   * @returns whether there is such a segment
   */
  copySegment(out: Uint8Array): boolean {
    const bytes = this.#bytes;
    const { length } = out;
    for (let at = this.#pathStart; at + length < this.#pathEnd; at++) {
      if (bytes[at] !== slash) continue;
      let read = 0;
      while (read < length && isAlphanumeric(bytes[at + 1 + read]!)) {
        out[read] = bytes[at + 1 + read]!;
        read++;
      }
      const end = at + 1 + length;
      if (read === length && (end === this.#pathEnd || bytes[end] === slash)) return true;
    }
    return false;
  }

  /** The raw query, without the `?`. */
  get query(): string {
    this.#query ??= latin1(this.#bytes, this.#pathEnd + 1, this.#queryEnd);
    return this.#query;
  }

  /** Returns a query parameter, percent-decoded (`+` is a space). Names are lower case; the last value wins. */
  get(name: string): string | undefined {
    // Searching a string is several times as fast as searching bytes, even with the copy (npm run bench -- jwt).
    const query = this.query;
    let value: string | undefined;
    for (let at = 0; at < query.length; ) {
      const ampersand = query.indexOf("&", at);
      const end = ampersand < 0 ? query.length : ampersand;
      const nameEnd = matchName(query, at, end, name);
      if (nameEnd >= 0 && end > at) value = query.slice(nameEnd + 1, end);
      at = end + 1;
    }
    return value === undefined ? undefined : percentDecode(value);
  }

  /** Returns a named or catch-all parameter of the route, such as `passkey` of `/announce/:passkey`. */
  route(name: string): string | undefined {
    if (this.#route === undefined && this.routes !== undefined && this.#pathEnd > this.#pathStart) {
      this.#route = this.routes.match(this.#bytes, this.#pathStart, this.#pathEnd)?.params ?? noRoute;
    }
    return this.#route?.get(name);
  }
}

const slash = 0x2f;
const equalsSign = 0x3d;
const percent = 0x25;
const plus = 0x2b;

function isAlphanumeric(byte: number): boolean {
  const letter = byte | 0x20;
  return (byte >= 0x30 && byte <= 0x39) || (letter >= 0x61 && letter <= 0x7a);
}

/** @returns the end of the name of the pair `query[at..end)` if the name is `name`, else -1 */
function matchName(query: string, at: number, end: number, name: string): number {
  for (let i = 0; ; i++) {
    const code = at + i < end ? query.charCodeAt(at + i) : equalsSign;
    if (code === equalsSign) return i === name.length ? at + i : -1;
    if (code === percent || code === plus || code >= 0x80) return matchEncodedName(query, at, end, name);
    const isCapital = code >= 0x41 && code <= 0x5a;
    if (i >= name.length || (isCapital ? code | 0x20 : code) !== name.charCodeAt(i)) return -1;
  }
}

function matchEncodedName(query: string, at: number, end: number, name: string): number {
  const equals = query.indexOf("=", at);
  const nameEnd = equals < 0 || equals > end ? end : equals;
  return percentDecode(query.slice(at, nameEnd)).toLowerCase() === name ? nameEnd : -1;
}

/** Decodes `%XX` and `+` of a Latin-1 string byte by byte; keeps a broken escape. */
export function percentDecode(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  let decoded = "";
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (character === "+") {
      decoded += " ";
      continue;
    }
    const high = character === "%" ? hexDigit(text.charCodeAt(i + 1)) : -1;
    const low = high < 0 ? -1 : hexDigit(text.charCodeAt(i + 2));
    if (low < 0) {
      decoded += character;
    } else {
      decoded += String.fromCharCode((high << 4) | low);
      i += 2;
    }
  }
  return decoded;
}
