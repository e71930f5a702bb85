import type { Connection, StreamHandler } from "../net/stream.ts";
import {
  HttpRequest,
  Method,
  RequestError,
  readRequest,
  requestErrorStatus,
} from "../protocol/http/request-reader.ts";

/** What an operator asks for. */
export interface OperatorRequest {
  readonly method: "GET" | "HEAD";
  /** Beginning with `/`, as it was sent. */
  readonly path: string;
  /** The whole target as it was sent. */
  readonly target: string;
  /** By name in lower case; several lines of one name are one value with commas. */
  readonly headers: ReadonlyMap<string, string>;
  readonly query: URLSearchParams;
  /** Aborted when nobody waits for the answer any more. */
  readonly gone: AbortSignal;
}

export interface OperatorResponse {
  status: keyof typeof statusTexts;
  type: string;
  /** Not sent for HEAD. */
  body: string | Uint8Array;
  headers?: Readonly<Record<string, string>>;
}

const statusTexts = {
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
} as const;

const maxConnections = 64;
const maxHeadBytes = 8192;
/** For a request to arrive, in seconds. */
const requestTimeout = 10;

const request = new HttpRequest();

/** What one connection is up to. */
interface State {
  readonly connection: Connection;
  readonly gone: AbortController;
  /** What has arrived of the request; undefined once it is complete. */
  head: Uint8Array | undefined;
  timer: NodeJS.Timeout;
}

/**
 * The connections of the listener for operators: HTTP/1 with one request each. When there are too many, the oldest one
 * goes: a look at the health has to get through.
 */
export class OperatorConnections implements StreamHandler<State> {
  readonly #answer: (request: OperatorRequest) => Promise<OperatorResponse>;
  readonly #responseTimeout: number;
  readonly #open = new Set<State>();

  /**
   * @param answer           must not reject, save where `gone` is aborted
   * @param responseTimeout  for an answer to be made and taken, in seconds
   */
  constructor(answer: (request: OperatorRequest) => Promise<OperatorResponse>, responseTimeout: number) {
    this.#answer = answer;
    this.#responseTimeout = responseTimeout;
  }

  opened(connection: Connection): State {
    const state = {
      connection,
      gone: new AbortController(),
      head: new Uint8Array(0),
      timer: destroyAfter(connection, requestTimeout),
    };
    this.#open.add(state);
    if (this.#open.size > maxConnections) this.makeRoom();
    return state;
  }

  received(state: State, bytes: Uint8Array, start: number, end: number): void {
    if (state.head === undefined) return;
    const head = Buffer.concat([state.head, bytes.subarray(start, end)]);
    state.head = head;
    // Scripts that look at the health may leave out the Host.
    const consumed = readRequest(head, 0, head.length, request, false);
    if (consumed === 0 && head.length < maxHeadBytes) return;
    state.head = undefined;
    clearInterval(state.timer);
    state.timer = destroyAfter(state.connection, this.#responseTimeout);
    const method = request.method === Method.head ? "HEAD" : "GET";
    if (request.method === Method.options) send(state.connection, method, plain(405));
    else if (consumed <= 0 || consumed > maxHeadBytes) {
      const error = consumed < 0 ? (consumed as RequestError) : RequestError.tooLarge;
      send(state.connection, method, plain(requestErrorStatus(error)));
    } else {
      const text = head.toString("latin1");
      const path = text.slice(request.targetStart, request.pathEnd);
      const query = new URLSearchParams(text.slice(request.queryStart, request.targetEnd));
      const target = text.trimStart().split(" ", 2)[1]!;
      const headers = parseHeaders(text.slice(request.headersStart, request.headersEnd));
      this.#answer({ method, path, target, query, headers, gone: state.gone.signal }).then(
        (response) => send(state.connection, method, response),
        () => state.connection.destroy(true),
      );
    }
  }

  ended(state: State): void {
    state.gone.abort();
    if (state.head !== undefined) state.connection.destroy();
  }

  closed(state: State): void {
    clearInterval(state.timer);
    this.#open.delete(state);
    state.gone.abort();
  }

  drained(): void {}

  /** Closes the oldest. @returns whether there was one */
  makeRoom(): boolean {
    const oldest = this.#open.values().next().value;
    oldest?.connection.destroy(true);
    return oldest !== undefined;
  }

  /** Closes them all now. */
  destroyAll(): void {
    for (const { connection } of this.#open) connection.destroy(true);
  }
}

/** Parses header lines that the reader has found to be right. */
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

/** A response that is only a status, with its name as the body. */
export function plain(status: OperatorResponse["status"], text?: string): OperatorResponse {
  const headers: OperatorResponse["headers"] = status === 405 ? { allow: "GET, HEAD" } : {};
  return { status, type: "text/plain", body: `${text ?? statusTexts[status].toLowerCase()}\n`, headers };
}

function send(
  connection: Connection,
  method: OperatorRequest["method"],
  { status, type, body, headers = {} }: OperatorResponse,
): void {
  const fields = {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    connection: "close",
    ...headers,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = Buffer.from(`HTTP/1.1 ${status} ${statusTexts[status]}\r\n${lines.join("")}\r\n`);
  const response = method === "HEAD" ? head : Buffer.concat([head, Buffer.from(body)]);
  connection.write(response, 0, response.length);
  connection.end(true);
}

/** Counts the seconds one by one: a process that was held up is not to blame its clients. */
function destroyAfter(connection: Connection, seconds: number): NodeJS.Timeout {
  return setInterval(() => {
    seconds--;
    if (seconds === 0) connection.destroy(true);
  }, 1000).unref();
}
