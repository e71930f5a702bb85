import { hexDigit } from "../ip/address.ts";
import { latin1 } from "../lib/latin1.ts";

const none = new Uint8Array(0);
const noRoute: ReadonlyMap<string, string> = new Map();

/** What finds the parameters of a path `bytes[start..pathEnd)` by patterns: the router of a protocol. */
export interface RouteMatcher {
  match(
    bytes: Uint8Array,
    start: number,
    pathEnd: number,
  ): { readonly params: ReadonlyMap<string, string> | undefined } | undefined;
}

/**
 * The part of a request that only hooks read: the path, the query and the parameters of the route. Over UDP
 * they come from the URL data of BEP 41.
 *
 * Text is Latin-1: one character a byte, so that nothing is lost. Everything is decoded on demand; a
 * request that no hook looks into costs nothing.
 */
export class Params {
  #bytes: Uint8Array = none;
  #pathStart = 0;
  #pathEnd = 0;
  #queryEnd = 0;
  #query: string | undefined;
  #route: ReadonlyMap<string, string> | undefined;
  /** Where set, the parameters of the route are looked for when a hook asks for one; kept for the next requests. */
  routes: RouteMatcher | undefined;

  /**
   * Points at a request target: `bytes[start..pathEnd)` is the path; where `pathEnd < end`, a `?` stands
   * at `pathEnd` and the query fills the rest up to `end`. The bytes stay the frontend's, valid until its handler
   * returns; {@link detach} keeps them for longer.
   */
  set(bytes: Uint8Array, start: number, pathEnd: number, end: number): void {
    this.#bytes = bytes;
    this.#pathStart = start;
    this.#pathEnd = pathEnd;
    this.#queryEnd = end;
    this.#query = undefined;
    this.#route = undefined;
  }

  /** Forgets the last request. */
  clear(): void {
    this.set(none, 0, 0, 0);
  }

  /** Names the parameters that the frontend's route took from the path. */
  setRoute(route: ReadonlyMap<string, string>): void {
    this.#route = route;
  }

  /** Copies what it points at, so that it outlives the frontend's buffer. */
  detach(): void {
    const length = this.#queryEnd - this.#pathStart;
    if (length === 0) return;
    // Not slice(): a Buffer's slice is a view of the same memory.
    this.#bytes = new Uint8Array(this.#bytes.subarray(this.#pathStart, this.#queryEnd));
    this.#pathEnd -= this.#pathStart;
    this.#queryEnd = length;
    this.#pathStart = 0;
  }

  /** The path as it was sent, not decoded: `/announce`. */
  get path(): string {
    return latin1(this.#bytes, this.#pathStart, this.#pathEnd);
  }

  /** The query as it was sent, without the `?`. */
  get query(): string {
    this.#query ??= latin1(this.#bytes, this.#pathEnd + 1, this.#queryEnd);
    return this.#query;
  }

  /** The value of a query parameter, percent-decoded (`+` is a space); names in lower case, the last one wins. */
  get(name: string): string | undefined {
    // Searching a string is several times as fast as searching bytes, its copy included (npm run bench -- jwt).
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

  /** The value of a named or catch-all parameter of the route, such as `passkey` of `/announce/:passkey`. */
  route(name: string): string | undefined {
    if (this.#route === undefined && this.routes !== undefined && this.#pathEnd > this.#pathStart) {
      this.#route = this.routes.match(this.#bytes, this.#pathStart, this.#pathEnd)?.params ?? noRoute;
    }
    return this.#route?.get(name);
  }
}

const equalsSign = 0x3d;
const percent = 0x25;
const plus = 0x2b;

/** @returns where the name of the pair `query[at..end)` ends if it is `name`, else -1 */
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

/** Decodes `%XX` and `+` of a Latin-1 string byte by byte; a broken escape stays as it is. */
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
