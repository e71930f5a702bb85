import { hexDigit } from "./address.ts";

const none = new Uint8Array(0);

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
  #query: Map<string, string> | undefined;
  #route: ReadonlyMap<string, string> | undefined;

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
    return latin1(this.#bytes, this.#pathEnd + 1, this.#queryEnd);
  }

  /** The value of a query parameter, percent-decoded (`+` is a space); names in lower case, the last one wins. */
  get(name: string): string | undefined {
    this.#query ??= parseQuery(this.query);
    return this.#query.get(name);
  }

  /** The value of a named or catch-all parameter of the route, such as `passkey` of `/announce/:passkey`. */
  route(name: string): string | undefined {
    return this.#route?.get(name);
  }
}

/** Decodes byte by byte: what the Encoding Standard calls "latin1" is windows-1252. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}

function parseQuery(query: string): Map<string, string> {
  const values = new Map<string, string>();
  if (query === "") return values;
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = equals < 0 ? pair : pair.slice(0, equals);
    values.set(percentDecode(name).toLowerCase(), equals < 0 ? "" : percentDecode(pair.slice(equals + 1)));
  }
  return values;
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
