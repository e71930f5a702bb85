import { Address } from "../ip/address.ts";
import { latin1 } from "../lib/latin1.ts";
import type { StreamHandler } from "../net/stream.ts";
import { chunked, type HttpRequest, type RequestRules } from "../protocol/http/request-reader.ts";
import { findToken, readBearerToken } from "./bearer-token.ts";
import type { Call } from "./call.ts";
import { acceptsGzip, acceptsZstd, type Coding, compressStream, gzipBytes, hasZstd } from "./gzip.ts";
import type { HttpHandler, RefusalStatus, RequestSource, WholeResponse } from "./handler.ts";
import { HttpError } from "./http-error.ts";
import type { RequestBody } from "./request-body.ts";
import { type Status, statusTexts } from "./status.ts";

/** The methods of routes. A route for GET also serves HEAD, without the body. */
export type RouteMethod = "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS";

/** A request to a route. */
export interface RouteRequest {
  readonly method: RouteMethod | "HEAD";
  /** Path as it was sent; begins with `/`. */
  readonly path: string;
  /** The whole target as it was sent. */
  readonly target: string;
  readonly query: URLSearchParams;
  /** Headers by their names in lower case. Several lines of one name are joined with commas. */
  readonly headers: ReadonlyMap<string, string>;
  /** Address of the client, taken from headers of trusted proxies. */
  readonly client: Address;
  /** Body; empty for GET, HEAD and OPTIONS. If the handler does not read all of it, the connection closes after the response. */
  readonly body: RequestBody;
  /** Aborted when the client no longer waits for the response. */
  readonly gone: AbortSignal;
}

/** The response of a route. */
export interface RouteResponse {
  readonly status: Status;
  /** The media type of the body. */
  readonly type?: string;
  /** Headers by their names in lower case. They override the headers that every response has. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * The body, which is not sent for HEAD. An iterable is read as fast as the client receives its chunks, and closed when the
   * client is gone. If the iterable fails, the connection is reset in the middle of the response.
   */
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** Whether to compress the body if the client accepts gzip. Not for streams whose chunks must arrive at once. */
  readonly gzip?: boolean;
  /** Whether a stream may be compressed by zstd if the client accepts that, rather than by gzip. */
  readonly zstd?: boolean;
}

/** A response after which the connection uses another protocol. */
export interface UpgradeResponse {
  /** Headers by their names in lower case: `upgrade`, and those of the new protocol. */
  readonly headers: Readonly<Record<string, string>>;
  /** The handler that gets the connection after the response, with all bytes that follow the request. */
  readonly upgrade: StreamHandler<unknown>;
}

/** A resource. */
export interface Route {
  /** Default: GET. */
  readonly methods?: readonly RouteMethod[];
  /**
   * The path. A path that ends with `*` stands for all paths with this beginning, and
   * `:any` as the first segment stands for any one. The longest matching path is used.
   */
  readonly path: string;
  /** Whether requests of HTTP/1.1 need the header `Host`; default true. Matters only on the addresses of announces. */
  readonly needsHost?: boolean;
  /** Maximum length of a body in bytes; default 0. */
  readonly maxBody?: number;
  /** SHA-256 hashes (32 bytes) of the accepted bearer tokens; default: no token is needed. */
  readonly tokens?: readonly Uint8Array[];
  /** Handles a request. @throws HttpError for an error response; any other error becomes status 500 */
  handle(request: RouteRequest): RouteResponse | UpgradeResponse | Promise<RouteResponse | UpgradeResponse>;
}

/** Up to this length in bytes, head and body are sent together. */
const smallBody = 64 * 1024;
/** Minimum length in bytes of a body to compress. */
const minCompressed = 1024;
const lastChunk = Buffer.from("0\r\n\r\n");
const methodNames: readonly RouteRequest["method"][] = [
  "GET",
  "HEAD",
  "OPTIONS",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
];

/** Creates a response of a status, with its name or another text as the body. */
export function plain(status: Status, text?: string, headers: RouteResponse["headers"] = {}): RouteResponse {
  return { status, type: "text/plain", body: `${text ?? statusTexts[status].toLowerCase()}\n`, headers };
}

/** A handler of an HTTP server for general requests: finds the route of each request and sends its response. */
export class Routes implements HttpHandler<never> {
  /** Health checks may omit the header `Host`. */
  readonly rules: RequestRules = { needsHost: false, takesBodies: true };
  readonly #routes: readonly Route[];
  readonly #onError: (error: Error) => void;
  /** Whether a route takes another method than GET. */
  readonly takesBodies: boolean;
  /** Whether every route needs the header `Host`. */
  readonly needsHost: boolean;

  /** @param onError  called for unexpected errors of routes, and for errors in the middle of a response */
  constructor(routes: readonly Route[], onError: (error: Error) => void) {
    this.#routes = [...routes].sort((a, b) => b.path.length - a.path.length);
    this.#onError = onError;
    this.takesBodies = routes.some(({ methods = ["GET"] }) => methods.some((method) => method !== "GET"));
    this.needsHost = routes.every(({ needsHost = true }) => needsHost);
  }

  respond(
    bytes: Uint8Array,
    head: HttpRequest,
    source: RequestSource,
    keepAlive: boolean,
  ): Promise<undefined> {
    return this.serve(bytes, head, source, keepAlive).then(() => undefined);
  }

  /** Whether a route has the path of a request, with any method. */
  has(bytes: Uint8Array, head: HttpRequest): boolean {
    const path = latin1(bytes, head.targetStart, head.pathEnd);
    return this.#routes.some((route) => fits(route.path, path));
  }

  /**
   * As {@link respond}.
   * @param client  set to the client of the request
   * @returns the status of the response; or the reason if no response has been sent as a whole
   */
  serve(
    bytes: Uint8Array,
    head: HttpRequest,
    source: RequestSource,
    keepAlive: boolean,
    client: Address = new Address(),
  ): Promise<Status | 101 | "gone" | "failed"> {
    const headers = parseHeaders(latin1(bytes, head.headersStart, head.headersEnd));
    const expectsContinue = head.minor === 1 && headers.get("expect")?.toLowerCase() === "100-continue";
    const call = source.begin(head, expectsContinue);
    const isNamed = source.resolveClient(bytes, head, client);
    const targetStart = bytes.lastIndexOf(0x20, head.targetStart - 1) + 1;
    const request: RouteRequest = {
      method: methodNames[head.method]!,
      path: latin1(bytes, head.targetStart, head.pathEnd),
      target: latin1(bytes, targetStart, head.targetEnd),
      query: new URLSearchParams(latin1(bytes, head.queryStart, head.targetEnd)),
      headers,
      client,
      body: call.body,
      gone: call.gone,
    };
    const refusal = isNamed ? undefined : plain(400);
    return this.#run(call, request, refusal, head.bodyLength, keepAlive, head.minor === 1);
  }

  sent(): void {}

  rejected(): void {}

  gaveUp(): void {}

  refuse(status: RefusalStatus, isHead: boolean): WholeResponse {
    const response = status === 405 ? plain(405, undefined, { allow: "GET, HEAD" }) : plain(status);
    const body = Buffer.from(response.body as string);
    const head = writeHead(response, { "content-length": `${body.length}` }, false);
    const bytes = Buffer.concat([head, body]);
    return { out: { bytes, start: 0, headEnd: head.length, end: bytes.length }, isHead, keepAlive: false };
  }

  async #run(
    call: Call,
    request: RouteRequest,
    refusal: RouteResponse | undefined,
    bodyLength: number,
    keepAlive: boolean,
    isChunkable: boolean,
  ): Promise<Status | 101 | "gone" | "failed"> {
    await undefined; // the connection first adds bytes of the body that arrived together with the head
    try {
      const handled = refusal ?? this.#handle(request, bodyLength);
      const response = await Promise.race([handled, call.abandoned]);
      if (typeof response === "string") void discard(handled);
      if (response === "gone") return "gone";
      if (response === "late") {
        await send(call, request, plain(503, "the handler took too long"), false, isChunkable);
        return 503;
      }
      if ("upgrade" in response) {
        await upgrade(call, response);
        return 101;
      }
      await send(call, request, response, keepAlive, isChunkable);
      return response.status;
    } catch (error) {
      const isGone = call.gone.aborted;
      if (!isGone) this.#onError(error as Error);
      call.destroy();
      return isGone ? "gone" : "failed";
    }
  }

  async #handle(request: RouteRequest, bodyLength: number): Promise<RouteResponse | UpgradeResponse> {
    try {
      const route = this.#find(request);
      if ("status" in route) return route;
      const { body } = request;
      const { maxBody = 0, tokens } = route;
      if (tokens !== undefined && !hasToken(request, tokens)) {
        return plain(401, undefined, { "www-authenticate": "Bearer" });
      }
      const isTooLong = bodyLength === chunked ? maxBody === 0 : bodyLength > maxBody;
      if (isTooLong) return plain(413);
      body.limit = maxBody;
      return await route.handle(request);
    } catch (error) {
      request.gone.throwIfAborted();
      if (error instanceof HttpError) return plain(error.status, error.message);
      this.#onError(error as Error);
      return plain(500);
    }
  }

  #find({ path, method }: RouteRequest): Route | RouteResponse {
    const wanted = method === "HEAD" ? "GET" : method;
    const allowed = new Set<string>();
    for (const route of this.#routes) {
      const { methods = ["GET"] } = route;
      if (!fits(route.path, path)) continue;
      if (methods.includes(wanted)) return route;
      for (const name of methods) allowed.add(name === "GET" ? "GET, HEAD" : name);
    }
    if (allowed.size === 0 && wanted === "GET") return plain(404);
    return plain(405, undefined, { allow: [...allowed].join(", ") || "GET, HEAD" });
  }
}

/** Ends the body of a response that comes too late. */
async function discard(handled: RouteResponse | Promise<RouteResponse | UpgradeResponse>): Promise<void> {
  const late = await Promise.resolve(handled).catch(() => undefined);
  const body = late && "body" in late ? late.body : undefined;
  if (typeof body === "object" && Symbol.asyncIterator in body)
    await Promise.resolve(body[Symbol.asyncIterator]().return?.()).catch(() => undefined);
}

const anySegment = "/:any";

function fits(pattern: string, path: string): boolean {
  if (pattern.startsWith(anySegment)) {
    const rest = path.indexOf("/", 1);
    return rest > 1 && fits(pattern.slice(anySegment.length), path.slice(rest));
  }
  return pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

function hasToken({ headers }: RouteRequest, tokens: readonly Uint8Array[]): boolean {
  const token = readBearerToken(headers);
  return token !== undefined && findToken(token, tokens) >= 0;
}

async function upgrade(call: Call, { headers, upgrade: heir }: UpgradeResponse): Promise<void> {
  if (!call.body.isComplete) throw new Error("a request with a body cannot be upgraded");
  const fields = { connection: "Upgrade", ...headers };
  call.upgrade(heir);
  await call.send(Buffer.from(`HTTP/1.1 101 Switching Protocols\r\n${writeFields(fields)}\r\n`, "latin1"));
}

async function send(
  call: Call,
  { method, headers }: RouteRequest,
  response: RouteResponse,
  mayStayOpen: boolean,
  isChunkable: boolean,
): Promise<void> {
  const mayKeepAlive = mayStayOpen && response.headers?.connection !== "close";
  const { status, body: content = "" } = response;
  const isHead = method === "HEAD";
  const isEmpty = status === 204 || status === 304;
  const fields: Record<string, string> = {};
  const isWhole = typeof content === "string" || content instanceof Uint8Array;
  if (response.gzip) fields.vary = "accept-encoding";
  const isGzip = response.gzip === true && !isEmpty && acceptsGzip(headers.get("accept-encoding"));

  if (isWhole) {
    let body: Uint8Array = typeof content === "string" ? Buffer.from(content) : content;
    if (isGzip && body.length >= minCompressed) {
      body = await gzipBytes(body);
      fields["content-encoding"] = "gzip";
    }
    if (!isEmpty) fields["content-length"] = `${body.length}`;
    call.keepAlive = mayKeepAlive && call.body.isComplete;
    const head = writeHead(response, fields, call.keepAlive);
    if (isHead || isEmpty) await call.send(head);
    else if (body.length <= smallBody) await call.send(Buffer.concat([head, body]));
    else if (await call.send(head)) await call.send(body);
    return;
  }

  const isZstd = response.zstd === true && acceptsZstd(headers.get("accept-encoding")) && (await hasZstd());
  const coding: Coding | undefined = isZstd ? "zstd" : isGzip ? "gzip" : undefined;
  if (coding !== undefined) fields["content-encoding"] = coding;
  if (isChunkable) fields["transfer-encoding"] = "chunked";
  call.keepAlive = mayKeepAlive && isChunkable && call.body.isComplete;
  const head = writeHead(response, fields, call.keepAlive);
  const stream = coding === undefined ? content : compressStream(content, coding);
  if (isHead || isEmpty) {
    await content[Symbol.asyncIterator]().return?.();
    await call.send(head);
    return;
  }
  let isOpen = await call.send(head);
  for await (const chunk of stream) {
    if (!isOpen) break;
    if (chunk.length === 0) continue; // in chunks this would be the end
    isOpen = isChunkable ? await sendChunk(call, chunk) : await call.send(chunk);
    if (!isOpen) break;
  }
  if (isOpen && isChunkable) await call.send(lastChunk);
}

async function sendChunk(call: Call, chunk: Uint8Array): Promise<boolean> {
  const size = Buffer.from(`${chunk.length.toString(16)}\r\n`);
  if (chunk.length <= smallBody) return call.send(Buffer.concat([size, chunk, crlf]));
  return (await call.send(size)) && (await call.send(chunk)) && (await call.send(crlf));
}

const crlf = Buffer.from("\r\n");

/** Writes the head of a response, including the fields that every response has. */
function writeHead(
  { status, type, headers }: RouteResponse,
  { vary, ...fields }: Record<string, string>,
  keepAlive: boolean,
): Buffer {
  const all = {
    ...(type !== undefined && { "content-type": type }),
    ...fields,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    connection: keepAlive ? "keep-alive" : "close",
    ...(vary !== undefined && { vary }),
    ...headers,
  };
  return Buffer.from(`HTTP/1.1 ${status} ${statusTexts[status]}\r\n${writeFields(all)}\r\n`, "latin1");
}

/** @throws Error for a value that would be more than one line */
function writeFields(fields: Readonly<Record<string, string>>): string {
  return Object.entries(fields)
    .map(([name, value]) => {
      if (/[\r\n\0]/.test(value)) throw new Error(`the header ${name} has a value of several lines`);
      return `${name}: ${value}\r\n`;
    })
    .join("");
}

/** Parses header lines, which the request reader has validated. */
function parseHeaders(lines: string): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return headers;
}
