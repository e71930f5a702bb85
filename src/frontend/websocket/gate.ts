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
    origin: string | undefined,
  ): Session | undefined;
  /** Returns the routes of announces over HTTP, which WebSockets without routes of their own have. */
  announceRoutes(): readonly string[];
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

/** Bytes of an origin that are kept: more than a scheme, a host name (253) and a port have. */
const mostOrigin = 300;

const value = new HeaderValue();
const client = new Address();
/** The path and query of the last WebSocket. */
let lastTarget = new Uint8Array(0);

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
    if (route === undefined && !this.#isRoot(targetStart, pathEnd)) return undefined;
    const handshake = readHandshake(bytes, request);
    if (handshake === Handshake.absent) return undefined;
    if (handshake === Handshake.incomplete) return this.#refuse("handshake", 426);
    if (handshake === Handshake.malformed)
      return this.#refuse("handshake", 400, "Sec-WebSocket-Key must be 16 bytes in base64");
    const origin = readOrigin(bytes, request);
    if (!this.#isOriginAllowed(origin))
      return this.#refuse("origin", 403, "pages of this web site may not use the tracker");
    if (!source.resolveClient(bytes, request, client) || !client.isUsable())
      return this.#refuse("handshake", 400, "a proxy names no usable address of the client");
    if (this.problem !== undefined) return this.#refuse("storage", 503, this.problem);
    if (this.isStopping) return this.#refuse("stopping", 503, "the tracker is stopping");
    const target = keepTarget(bytes.subarray(targetStart, targetEnd));
    const session = this.#deps.admit(client, target, pathEnd - targetStart, route?.params, origin);
    if (session === undefined) return this.#refuse("limit", 503, "too many WebSockets");
    const accept = acceptKey(readKey(bytes, request)!);
    const head = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
    return { response: Buffer.from(head, "latin1"), heir: session };
  }

  /**
   * Returns a check whether sockets may stay open after a reload. The check also sets the parameters of a route that a socket has now.
   */
  createCheck(): (session: Session) => boolean {
    const router = this.#settings.router ?? new Router(this.#deps.announceRoutes(), []);
    return (session) => {
      const { target, pathEnd, origin } = session;
      const route = router.match(target, 0, pathEnd);
      session.route = route?.params;
      return (route !== undefined || this.#isRoot(0, pathEnd)) && this.#isOriginAllowed(origin);
    };
  }

  #isRoot(targetStart: number, pathEnd: number): boolean {
    return this.#settings.router === undefined && pathEnd - targetStart <= 1;
  }

  /** Whether the page of a client may connect. A client without `Origin` is a program, which could name any origin. */
  #isOriginAllowed(origin: string | undefined): boolean {
    const { allowed, denied } = this.#settings;
    if (origin === undefined) return true;
    return !denied.has(origin) && (allowed.isEmpty || allowed.has(origin));
  }

  #refuse(reason: GateRefusal, status: Status, text?: string): Upgrade {
    this.#deps.refused(reason);
    return plainResponse(status, text);
  }
}

/** Returns the value of `Origin`, without what is too long for a web site; undefined without the header. */
function readOrigin(bytes: Uint8Array, request: HttpRequest): string | undefined {
  if (!findHeader(bytes, request, "origin", request.headersEnd, value)) return undefined;
  return latin1(bytes, value.start, Math.min(value.end, value.start + mostOrigin));
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

/** Returns a copy of a path and query. Sockets that follow each other with the same ones share a copy: most clients have one URL. */
function keepTarget(target: Uint8Array): Uint8Array {
  if (Buffer.compare(target, lastTarget) !== 0) lastTarget = new Uint8Array(target);
  return lastTarget;
}
