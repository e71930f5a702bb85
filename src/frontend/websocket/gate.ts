import type { RequestSource, Upgrade, Upgrader } from "../../http/handler.ts";
import { type Status, statusTexts } from "../../http/status.ts";
import { Address } from "../../ip/address.ts";
import { latin1 } from "../../lib/latin1.ts";
import { findHeader, HeaderValue, type HttpRequest } from "../../protocol/http/request-reader.ts";
import { type RouteMatch, Router } from "../../protocol/router.ts";
import { acceptKey, Handshake, readHandshake, readKey } from "../../protocol/websocket/handshake.ts";
import type { GateRefusal } from "./metrics.ts";
import type { WebSocketOptions } from "./options.ts";
import { Origins } from "./origins.ts";
import type { Session } from "./session.ts";

/** What the gate asks the frontend. */
export interface GateDeps {
  /** Makes the session of a client that passes. @returns undefined if there are too many */
  admit(
    client: Address,
    target: Uint8Array,
    pathEnd: number,
    route: RouteMatch["params"],
  ): Session | undefined;
  refused(reason: GateRefusal): void;
}

/** What the gate knows about the options; a reload replaces the whole object. */
export interface GateSettings {
  readonly router: Router | undefined;
  readonly allowed: Origins;
  readonly denied: Origins;
}

/** Parses the options. @throws RangeError for an invalid route */
export function createGateSettings({ routes, allowOrigins, denyOrigins }: WebSocketOptions): GateSettings {
  return {
    router: routes.length > 0 ? new Router(routes, []) : undefined,
    allowed: new Origins(allowOrigins),
    denied: new Origins(denyOrigins),
  };
}

const value = new HeaderValue();
const client = new Address();

/** Decides which requests become WebSockets. */
export class Gate implements Upgrader {
  readonly #deps: GateDeps;
  #settings: GateSettings;
  isStopping = false;
  /** Why no client can be served; undefined otherwise. */
  problem: string | undefined;

  constructor(settings: GateSettings, deps: GateDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  update(settings: GateSettings): void {
    this.#settings = settings;
  }

  upgrade(
    bytes: Uint8Array,
    request: HttpRequest,
    source: RequestSource,
    announceRoute: RouteMatch | undefined,
  ): Upgrade | undefined {
    const { router } = this.#settings;
    const { targetStart, pathEnd, targetEnd } = request;
    const route = router === undefined ? announceRoute : router.match(bytes, targetStart, pathEnd);
    const isRoot = router === undefined && pathEnd - targetStart <= 1;
    if (route === undefined && !isRoot) return undefined;
    const handshake = readHandshake(bytes, request);
    if (handshake === Handshake.absent) return undefined;
    if (handshake === Handshake.incomplete) return this.#refuse("handshake", 426);
    if (handshake === Handshake.malformed)
      return this.#refuse("handshake", 400, "Sec-WebSocket-Key must be 16 bytes in base64");
    if (!this.#isOriginAllowed(bytes, request))
      return this.#refuse("origin", 403, "pages of this web site may not use the tracker");
    if (!source.resolveClient(bytes, request, client) || !client.isUsable())
      return this.#refuse("handshake", 400, "a proxy names no usable address of the client");
    if (this.problem !== undefined) return this.#refuse("storage", 503, this.problem);
    if (this.isStopping) return this.#refuse("stopping", 503, "the tracker is stopping");
    const target = new Uint8Array(bytes.subarray(targetStart, targetEnd));
    const session = this.#deps.admit(client, target, pathEnd - targetStart, route?.params);
    if (session === undefined) return this.#refuse("limit", 503, "too many WebSockets");
    const accept = acceptKey(readKey(bytes, request)!);
    const head = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
    return { response: Buffer.from(head, "latin1"), heir: session };
  }

  /** Whether the page of a client may connect. A client without `Origin` is a program, which could name any origin. */
  #isOriginAllowed(bytes: Uint8Array, request: HttpRequest): boolean {
    const { allowed, denied } = this.#settings;
    if (allowed.isEmpty && denied.isEmpty) return true;
    if (!findHeader(bytes, request, "origin", request.headersEnd, value)) return true;
    const origin = latin1(bytes, value.start, value.end);
    return !denied.has(origin) && (allowed.isEmpty || allowed.has(origin));
  }

  #refuse(reason: GateRefusal, status: Status, text?: string): Upgrade {
    this.#deps.refused(reason);
    return plainResponse(status, text);
  }
}

/** Returns a response in plain text, after which the connection closes. The text of status 426 names what is missing. */
export function plainResponse(status: Status, text?: string): Upgrade {
  const isIncomplete = status === 426;
  const body = text ?? (isIncomplete ? incompleteText : statusTexts[status].toLowerCase());
  const lines = [
    `HTTP/1.1 ${status} ${statusTexts[status]}`,
    "Content-Type: text/plain",
    `Content-Length: ${body.length + 1}`,
    "Cache-Control: no-store",
    ...(isIncomplete ? ["Upgrade: websocket", "Sec-WebSocket-Version: 13"] : []),
    `Connection: ${isIncomplete ? "Upgrade, close" : "close"}`,
  ];
  return { response: Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}\n`, "latin1"), heir: undefined };
}

const incompleteText =
  "this is a WebSocket tracker: the request needs the headers Upgrade: websocket, Connection: Upgrade and " +
  "Sec-WebSocket-Version: 13, over HTTP/1.1; a proxy in front of the tracker must pass them on";
