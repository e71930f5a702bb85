import { startsWithName } from "./ascii.ts";
import { ascii } from "./byte-writer.ts";

const tab = 0x09;
const lf = 0x0a;
const cr = 0x0d;
const space = 0x20;
const comma = 0x2c;
const slash = 0x2f;
const zero = 0x30;
const colon = 0x3a;
const question = 0x3f;
const del = 0x7f;

/** The methods of requests that are read. */
export const Method = { get: 0, head: 1, options: 2 } as const;
export type Method = (typeof Method)[keyof typeof Method];

/** What a request's head says; reused. Offsets are into the bytes given to {@link readRequest}. */
export class HttpRequest {
  /** Set as soon as it is known, also where the request is refused for something else. */
  method: Method = Method.get;
  /** First byte of the path, a `/`; a run of them at the front counts as one. */
  targetStart = 0;
  /** Where the path ends. Where `pathEnd < targetEnd`, a `?` stands here. */
  pathEnd = 0;
  targetEnd = 0;
  /** Whether the client expects the connection to stay open. */
  keepAlive = false;
  /** Minor version: HTTP/1.0, or HTTP/1.1 and what may follow it. */
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

/**
 * Why a request is refused. The connection cannot be used after any of them, since nobody knows where
 * the next request begins. `tooLarge` is for whoever owns the buffer: {@link readRequest} knows no limit.
 */
export const RequestError = { malformed: -1, method: -2, tooLarge: -3, version: -4 } as const;
export type RequestError = (typeof RequestError)[keyof typeof RequestError];

const statuses = [400, 400, 405, 431, 505] as const;

/** The HTTP status that a refused request is answered with. */
export function requestErrorStatus(error: RequestError): (typeof statuses)[number] {
  return statuses[-error]!;
}

/** Bytes that may stand in a header's name or in a method (RFC 9110 §5.6.2 `token`). */
const isToken = new Uint8Array(256);
for (const character of "!#$%&'*+-.^_`|~0123456789") isToken[character.charCodeAt(0)] = 1;
for (let i = 0; i < 26; i++) isToken[0x41 + i] = isToken[0x61 + i] = 1;

const maxEmptyLines = 4;
const maxMethodLength = 32;
const headMethod = ascii("HEAD ");
const optionsRoot = ascii("OPTIONS / ");
/** What an HTTP/2 client begins with. */
const http2Preface = ascii("PRI ");
/** `0` stands for any digit. */
const versionShape = ascii("HTTP/0.0\r\n");

/**
 * Reads the head of one GET or HEAD request, or `OPTIONS /`, from `bytes[start..end)`, the start of a request in a byte
 * stream. HAProxy checks servers by `OPTIONS /` unless it is told otherwise.
 *
 * Strict where two readers of one stream could disagree (RFC 9112 §2.2, §5.1, §11.2): lines end with CRLF only,
 * no folded lines, no blanks in or after a header's name, no control characters, one `Host` (HTTP/1.0 may have none), and
 * no body of any kind, since a GET that has one is a mistake or an attack. A minor version above 1 is read as 1
 * (RFC 9110 §2.5). Tolerant where trackers meet old or simple clients: HTTP/1.0, absolute-form targets, raw bytes of 0x80 and more and any printable ASCII in the
 * target, a few empty lines before the request.
 *
 * @param needsHost  whether HTTP/1.1 without `Host` is refused
 * @returns bytes consumed (more than 0) when a whole head is there, and `request` is filled; 0 when more bytes
 * are needed; otherwise a {@link RequestError}, as early as it is certain. Never throws, never allocates.
 */
export function readRequest(
  bytes: Uint8Array,
  start: number,
  end: number,
  request: HttpRequest,
  needsHost = true,
): number {
  let i = start;
  while (i < end && (bytes[i] === cr || bytes[i] === lf)) {
    if (bytes[i] === lf) return RequestError.malformed;
    if (i + 1 === end) return 0;
    if (bytes[i + 1] !== lf) return RequestError.malformed;
    i += 2;
    if (i - start > 2 * maxEmptyLines) return RequestError.malformed;
  }

  request.method = Method.get;
  let target = i + 4;
  if (
    target > end ||
    bytes[i] !== 0x47 ||
    bytes[i + 1] !== 0x45 ||
    bytes[i + 2] !== 0x54 ||
    bytes[i + 3] !== space
  ) {
    const length = readMethod(bytes, i, end, request);
    if (length <= 0) return length;
    target = i + length;
  }

  let queryMark = -1;
  for (i = target; i < end; i++) {
    const byte = bytes[i]!;
    if (byte <= space || byte === del) break;
    if (byte === question && queryMark < 0) queryMark = i;
  }
  if (i === end) return 0;
  if (bytes[i] !== space) return RequestError.malformed;
  const targetEnd = i;
  const pathEnd = queryMark < 0 ? targetEnd : queryMark;
  const targetStart = findPath(bytes, target, pathEnd);
  if (targetStart < 0) return RequestError.malformed;

  i++;
  for (let k = 0; k < versionShape.length; k++, i++) {
    if (i === end) return 0;
    const byte = bytes[i]!;
    const wanted = versionShape[k]!;
    if (wanted === zero ? byte < zero || byte > 0x39 : byte !== wanted) return RequestError.malformed;
  }
  if (bytes[i - 5] !== 0x31) return RequestError.version;
  const minor = bytes[i - 3] === zero ? 0 : 1;

  const headersStart = i;
  let connection = 0;
  let hosts = 0;
  for (;;) {
    if (i === end) return 0;
    if (bytes[i] === cr) break;
    const name = i;
    while (i < end && isToken[bytes[i]!] === 1) i++;
    if (i === end) return 0;
    if (i === name || bytes[i] !== colon) return RequestError.malformed;
    const nameLength = i - name;
    const value = ++i;
    for (; i < end; i++) {
      const byte = bytes[i]!;
      if ((byte < space && byte !== tab) || byte === del) break;
    }
    if (i === end) return 0;
    if (bytes[i] !== cr) return RequestError.malformed;
    if (i + 1 === end) return 0;
    if (bytes[i + 1] !== lf) return RequestError.malformed;
    if (nameLength === 4 && startsWithName(bytes, name, "host")) {
      if (++hosts > 1) return RequestError.malformed;
    } else if (nameLength === 10 && startsWithName(bytes, name, "connection")) {
      connection |= readConnection(bytes, value, i);
    } else if (nameLength === 14 && startsWithName(bytes, name, "content-length")) {
      if (!isZero(bytes, value, i)) return RequestError.malformed;
    } else if (nameLength === 17 && startsWithName(bytes, name, "transfer-encoding")) {
      return RequestError.malformed;
    }
    i += 2;
  }
  if (i + 1 === end) return 0;
  if (bytes[i + 1] !== lf) return RequestError.malformed;
  if (hosts === 0 && minor === 1 && needsHost) return RequestError.malformed;

  request.targetStart = targetStart;
  request.pathEnd = pathEnd;
  request.targetEnd = targetEnd;
  request.minor = minor;
  request.keepAlive =
    (connection & Option.close) === 0 && (minor === 1 || (connection & Option.keepAlive) !== 0);
  request.headersStart = headersStart;
  request.headersEnd = i;
  return i + 2 - start;
}

/**
 * Reads a method other than GET.
 * @returns bytes before the target; 0 where a method has not arrived whole; or a {@link RequestError}
 */
function readMethod(bytes: Uint8Array, at: number, end: number, request: HttpRequest): number {
  if (startsWith(bytes, at, end, headMethod)) {
    request.method = Method.head;
    return end - at < headMethod.length ? 0 : headMethod.length;
  }
  if (startsWith(bytes, at, end, optionsRoot)) {
    request.method = Method.options;
    return end - at < optionsRoot.length ? 0 : optionsRoot.length - 2;
  }
  if (startsWith(bytes, at, end, http2Preface)) {
    return end - at < http2Preface.length ? 0 : RequestError.version;
  }
  let i = at;
  while (i < end && isToken[bytes[i]!] === 1) i++;
  if (i - at > maxMethodLength) return RequestError.malformed;
  if (i === end) return 0;
  return i > at && bytes[i] === space ? RequestError.method : RequestError.malformed;
}

/** Tells whether the bytes begin with `text`, or may yet. */
function startsWith(bytes: Uint8Array, at: number, end: number, text: Uint8Array): boolean {
  const length = Math.min(end - at, text.length);
  for (let i = 0; i < length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}

/** @returns offset of the path in a target of origin-form or absolute-form (RFC 9112 §3.2), or -1 */
function findPath(bytes: Uint8Array, target: number, pathEnd: number): number {
  let i = target;
  if (bytes[i] !== slash) {
    if (!startsWithName(bytes, i, "http")) return -1;
    i += 4;
    if ((bytes[i]! | 0x20) === 0x73) i++;
    if (bytes[i] !== colon || bytes[i + 1] !== slash || bytes[i + 2] !== slash) return -1;
    i += 3;
    while (i < pathEnd && bytes[i] !== slash) i++;
  }
  while (i + 1 < pathEnd && bytes[i + 1] === slash) i++;
  return i;
}

const Option = { close: 1, keepAlive: 2 } as const;

/** @returns the {@link Option}s that a `Connection` value lists */
function readConnection(bytes: Uint8Array, start: number, end: number): number {
  let options = 0;
  while (start < end) {
    let i = start;
    while (i < end && bytes[i] !== comma) i++;
    const next = i + 1;
    while (start < i && isBlank(bytes[start]!)) start++;
    while (start < i && isBlank(bytes[i - 1]!)) i--;
    if (i - start === 5 && startsWithName(bytes, start, "close")) options |= Option.close;
    else if (i - start === 10 && startsWithName(bytes, start, "keep-alive")) options |= Option.keepAlive;
    start = next;
  }
  return options;
}

/** Tells whether a `Content-Length` says that there is no body. */
function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  while (start < end && isBlank(bytes[start]!)) start++;
  while (start < end && isBlank(bytes[end - 1]!)) end--;
  for (let i = start; i < end; i++) if (bytes[i] !== zero) return false;
  return start < end;
}

function isBlank(byte: number): boolean {
  return byte === space || byte === tab;
}

/** Where a header line and its value stand; reused. */
export class HeaderValue {
  /** First byte of the line. */
  line = 0;
  /** The value, without blanks around it, is `[start, end)`; it may be empty. */
  start = 0;
  end = 0;
}

/**
 * Finds the last header line named `name` (lower case) among those that begin before `before`, so that a list
 * spread over several lines (`X-Forwarded-For`) is read from the right: start with `before = request.headersEnd`
 * and go on with `before = value.line`. All calls together are linear in the size of the head.
 * @returns whether there is one; if not, `value` is unchanged. Never allocates.
 */
export function findHeader(
  bytes: Uint8Array,
  request: HttpRequest,
  name: string,
  before: number,
  value: HeaderValue,
): boolean {
  while (before > request.headersStart) {
    let end = before - 2;
    const line = bytes.lastIndexOf(lf, end) + 1;
    let start = line + name.length;
    if (bytes[start] === colon && startsWithName(bytes, line, name)) {
      start++;
      while (start < end && isBlank(bytes[start]!)) start++;
      while (start < end && isBlank(bytes[end - 1]!)) end--;
      value.line = line;
      value.start = start;
      value.end = end;
      return true;
    }
    before = line;
  }
  return false;
}

/**
 * Finds the blank line that ends a head in `bytes[from..end)`. A connection whose request was incomplete waits
 * for it before it reads again, and searches only what is new: from two bytes before the new ones. Lines
 * that end without CR count too, so that {@link readRequest} gets to refuse them.
 * @returns the index just past the blank line, or -1
 */
export function findHeadEnd(bytes: Uint8Array, from: number, end: number): number {
  for (;;) {
    const at = bytes.indexOf(lf, from);
    if (at < 0 || at + 1 >= end) return -1;
    if (bytes[at + 1] === lf) return at + 2;
    if (bytes[at + 1] === cr && at + 2 < end && bytes[at + 2] === lf) return at + 3;
    from = at + 1;
  }
}
