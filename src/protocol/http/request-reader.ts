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

/** The methods that {@link readRequest} accepts. */
export const Method = { get: 0, head: 1, options: 2, post: 3, put: 4, patch: 5, delete: 6 } as const;
export type Method = (typeof Method)[keyof typeof Method];

/** Which requests are read, besides GET and HEAD without a body. */
export interface RequestRules {
  /** Whether HTTP/1.1 without `Host` is refused. */
  readonly needsHost: boolean;
  /** Whether POST, PUT, PATCH and DELETE, which may have a body, and OPTIONS for any path are read too. */
  readonly takesBodies: boolean;
}

/** The rules for announces and scrapes: everything is a GET. */
export const trackerRules: RequestRules = { needsHost: true, takesBodies: false };

/** The content of a request's head; reused. Offsets are into the bytes passed to {@link readRequest}. */
export class HttpRequest {
  /** Set as soon as the method is known, even if the request is refused later. */
  method: Method = Method.get;
  /** First byte of the path, a `/`; several slashes at the front count as one. */
  targetStart = 0;
  /** End of the path. If `pathEnd < targetEnd`, a `?` is at this offset. */
  pathEnd = 0;
  targetEnd = 0;
  /** Whether the client expects the connection to stay open. */
  keepAlive = false;
  /** Whether `Connection` names `Upgrade`, or `Sec-WebSocket-Key` is there: the request may be for another protocol. */
  isUpgrade = false;
  /** Minor version: 0 for HTTP/1.0; 1 for HTTP/1.1 and later. */
  minor: 0 | 1 = 1;
  /** First byte of the first header line. */
  headersStart = 0;
  /** End of the last header line, where the blank line begins. */
  headersEnd = 0;
  /** Bytes of the body, or {@link chunked}; -1 where the head names no length, which means that there is no body. */
  bodyLength = -1;

  /** First byte of the query; `targetEnd` if there is no query. */
  get queryStart(): number {
    return this.pathEnd < this.targetEnd ? this.pathEnd + 1 : this.targetEnd;
  }
}

/**
 * The reasons to refuse a request. The connection is unusable after each of them, because the start of the next request
 * is unknown. `tooLarge` is for the owner of the buffer: {@link readRequest} has no limit.
 */
export const RequestError = { malformed: -1, method: -2, tooLarge: -3, version: -4 } as const;
export type RequestError = (typeof RequestError)[keyof typeof RequestError];

const statuses: Readonly<Record<RequestError, 400 | 405 | 431 | 505>> = {
  [RequestError.malformed]: 400,
  [RequestError.method]: 405,
  [RequestError.tooLarge]: 431,
  [RequestError.version]: 505,
};

/** Returns the HTTP status of the response that refuses a request. */
export function requestErrorStatus(error: RequestError): 400 | 405 | 431 | 505 {
  return statuses[error];
}

/** Bytes allowed in a header's name and in a method (RFC 9110 §5.6.2 `token`). */
const isToken = new Uint8Array(256);
for (const character of "!#$%&'*+-.^_`|~0123456789") isToken[character.charCodeAt(0)] = 1;
for (let i = 0; i < 26; i++) isToken[0x41 + i] = isToken[0x61 + i] = 1;

/** The length of a body that comes in chunks. */
export const chunked = -2;
/** Bytes of the longest body that a `Content-Length` may announce: ten times as much is still a whole number. */
const maxBodyLength = 1e14;

const maxEmptyLines = 4;
const maxMethodLength = 32;
const headMethod = ascii("HEAD ");
const optionsRoot = ascii("OPTIONS / ");
/** The other methods that are read where bodies are taken. */
const generalMethods = [
  [Method.options, ascii("OPTIONS ")],
  [Method.post, ascii("POST ")],
  [Method.put, ascii("PUT ")],
  [Method.patch, ascii("PATCH ")],
  [Method.delete, ascii("DELETE ")],
] as const;
/** The first bytes of an HTTP/2 client. */
const http2Preface = ascii("PRI ");
/** `0` stands for any digit. */
const versionShape = ascii("HTTP/0.0\r\n");

/**
 * Reads the head of one GET or HEAD request, or `OPTIONS /`, from `bytes[start..end)`, the start of a request in a byte
 * stream. By default HAProxy checks servers with `OPTIONS /`.
 *
 * Strict wherever two readers of one stream could disagree (RFC 9112 §2.2, §5.1, §11.2): lines end with CRLF only; no
 * folded lines; no blanks in or after a header's name; no control characters; one `Host` (HTTP/1.0 may have none); and
 * no body, since a GET with a body is a mistake or an attack. A minor version above 1 counts as 1 (RFC 9110 §2.5).
 * Tolerant of old and simple clients: HTTP/1.0, absolute-form targets, bytes of 0x80 and above and any printable ASCII
 * in the target, a few empty lines before the request.
 *
 * @param rules  with `takesBodies` more methods are read, and `request.bodyLength` says what follows the head (RFC 9112 §6.3)
 * @returns the number of bytes consumed (more than 0) if the head is complete, and `request` is filled; 0 if more bytes
 * are needed; otherwise a {@link RequestError}, as early as the error is certain. Never throws, never allocates.
 */
export function readRequest(
  bytes: Uint8Array,
  start: number,
  end: number,
  request: HttpRequest,
  rules: RequestRules = trackerRules,
): number {
  const { takesBodies } = rules;
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
    const length = readMethod(bytes, i, end, request, takesBodies);
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
  let hasKey = false;
  let hosts = 0;
  let bodyLength = -1;
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
      const length = readLength(bytes, value, i);
      if (length < 0 || (length > 0 && !takesBodies)) return RequestError.malformed;
      if (bodyLength !== -1 && bodyLength !== length) return RequestError.malformed;
      bodyLength = length;
    } else if (nameLength === 17 && startsWithName(bytes, name, "sec-websocket-key")) {
      hasKey = true;
    } else if (nameLength === 17 && startsWithName(bytes, name, "transfer-encoding")) {
      const isReadable = takesBodies && minor === 1 && bodyLength === -1 && isChunked(bytes, value, i);
      if (!isReadable) return RequestError.malformed;
      bodyLength = chunked;
    }
    i += 2;
  }
  if (i + 1 === end) return 0;
  if (bytes[i + 1] !== lf) return RequestError.malformed;
  if (hosts === 0 && minor === 1 && rules.needsHost) return RequestError.malformed;

  // A GET with a body is a mistake or an attack.
  if (bodyLength !== -1 && bodyLength !== 0 && request.method < Method.post) return RequestError.malformed;

  request.bodyLength = bodyLength;
  request.targetStart = targetStart;
  request.pathEnd = pathEnd;
  request.targetEnd = targetEnd;
  request.minor = minor;
  request.keepAlive =
    (connection & Option.close) === 0 && (minor === 1 || (connection & Option.keepAlive) !== 0);
  request.isUpgrade = hasKey || (connection & Option.upgrade) !== 0;
  request.headersStart = headersStart;
  request.headersEnd = i;
  return i + 2 - start;
}

/**
 * Reads a method other than GET.
 * @returns the bytes before the target; 0 if the method is incomplete; or a {@link RequestError}
 */
function readMethod(
  bytes: Uint8Array,
  at: number,
  end: number,
  request: HttpRequest,
  isGeneral: boolean,
): number {
  if (startsWith(bytes, at, end, headMethod)) {
    request.method = Method.head;
    return end - at < headMethod.length ? 0 : headMethod.length;
  }
  if (isGeneral) {
    for (const [method, text] of generalMethods) {
      if (!startsWith(bytes, at, end, text)) continue;
      request.method = method;
      return end - at < text.length ? 0 : text.length;
    }
  } else if (startsWith(bytes, at, end, optionsRoot)) {
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

/** Returns whether the bytes begin with `text`, or may still become `text`. */
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

const Option = { close: 1, keepAlive: 2, upgrade: 4 } as const;

/** @returns the {@link Option}s in the value of `Connection` */
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
    else if (i - start === 7 && startsWithName(bytes, start, "upgrade")) options |= Option.upgrade;
    start = next;
  }
  return options;
}

/** @returns the number of a `Content-Length`, or -1 where that is not digits alone */
function readLength(bytes: Uint8Array, start: number, end: number): number {
  while (start < end && isBlank(bytes[start]!)) start++;
  while (start < end && isBlank(bytes[end - 1]!)) end--;
  if (start === end) return -1;
  let length = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - zero;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
    if (length > maxBodyLength) return -1;
  }
  return length;
}

/** Tells whether a `Transfer-Encoding` is `chunked` and nothing else. */
function isChunked(bytes: Uint8Array, start: number, end: number): boolean {
  while (start < end && isBlank(bytes[start]!)) start++;
  while (start < end && isBlank(bytes[end - 1]!)) end--;
  return end - start === "chunked".length && startsWithName(bytes, start, "chunked");
}

function isBlank(byte: number): boolean {
  return byte === space || byte === tab;
}

/** The place of a header line and its value; reused. */
export class HeaderValue {
  /** First byte of the line. */
  line = 0;
  /** The value, without surrounding blanks, is `[start, end)`; the value may be empty. */
  start = 0;
  end = 0;
}

/**
 * Finds the last header line named `name` (lower case) among the lines that begin before `before`. Reads a list over
 * several lines (`X-Forwarded-For`) from the right: start with `before = request.headersEnd` and continue with `before
 * = value.line`. All calls together are linear in the size of the head.
 * @returns whether the line exists; if not, `value` is unchanged. Never allocates.
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
 * Finds the blank line that ends a head in `bytes[from..end)`. A connection with an incomplete request calls this
 * before it reads the request again, and searches new bytes only: `from` is two bytes before them. Lines without CR
 * count too, so that {@link readRequest} refuses them.
 * @returns the index behind the blank line, or -1
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
