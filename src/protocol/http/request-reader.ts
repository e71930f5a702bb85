/** What a request's head says; reused. Offsets are into the bytes given to {@link readRequest}. */
export class HttpRequest {
  /** First byte of the path, a `/`; a run of them at the front counts as one. */
  targetStart = 0;
  /** Where the path ends. Where `pathEnd < targetEnd`, a `?` stands here. */
  pathEnd = 0;
  targetEnd = 0;
  /** Whether the client expects the connection to stay open. */
  keepAlive = false;
  /** Minor version: HTTP/1.0 or HTTP/1.1. */
  minor: 0 | 1 = 1;
  /** First byte of the first header line. */
  headersStart = 0;
  /** Just past the last header line, where the blank line begins. */
  headersEnd = 0;

  /** First byte of the query; `targetEnd` where there is none. */
  get queryStart(): number {
    return this.pathEnd < this.targetEnd ? this.pathEnd + 1 : this.targetEnd;
  }
}

/** Why a request is refused; after any of them the connection is closed. */
export const RequestError = { malformed: -1, method: -2, tooLarge: -3, version: -4 } as const;
export type RequestError = (typeof RequestError)[keyof typeof RequestError];

const statuses = [400, 400, 405, 431, 505] as const;

/** The HTTP status that a refused request is answered with. */
export function requestErrorStatus(error: RequestError): (typeof statuses)[number] {
  return statuses[-error]!;
}

/** @returns bytes consumed (>0) when a whole request is there; 0 when incomplete; a {@link RequestError} otherwise. */
export function readRequest(_bytes: Uint8Array, _start: number, _end: number, _request: HttpRequest): number {
  return RequestError.malformed;
}

/** Where a header line and its value stand; reused. */
export class HeaderValue {
  /** First byte of the line. */
  line = 0;
  /** The value without blanks around it is `[start, end)`. */
  start = 0;
  end = 0;
}

/**
 * Finds the last header line named `name` (lower case) among those that begin before `before`. For reading a list
 * from the right: start with `before = request.headersEnd`, go on with `before = value.line`.
 * @returns whether there is one
 */
export function findHeader(
  _bytes: Uint8Array,
  _request: HttpRequest,
  _name: string,
  _before: number,
  _value: HeaderValue,
): boolean {
  return false;
}

/** Index just past the blank line that ends a head in `bytes[from..end)`, or -1. */
export function findHeadEnd(_bytes: Uint8Array, _from: number, _end: number): number {
  return -1;
}
