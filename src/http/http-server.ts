import type { ListenAddress } from "../ip/listen-address.ts";
import type { Clock } from "../lib/clock.ts";
import { FairQueue } from "../lib/fair-queue.ts";
import { LinkedList } from "../lib/linked-list.ts";
import { bindAll } from "../net/bind-all.ts";
import { formatUrl } from "../net/bind-error.ts";
import type { Network } from "../net/network.ts";
import type { Connection, StreamHandler, StreamListener, TlsFiles } from "../net/stream.ts";
import { type ConnectionCounters, HttpConnection, type Shared } from "./connection.ts";
import { ConnectionCounts } from "./connection-counts.ts";
import type { HttpHandler } from "./handler.ts";
import { createServerSettings, type HttpServerOptions } from "./options.ts";
import { chainExpiry } from "./tls-files.ts";

const sweepMs = 1000;
/** Maximum number of concurrent TLS handshakes of a listener; at most a quarter of the connections. */
const mostHandshakes = 1024;

const uncounted = { inc(): void {} };
const noCounters: ConnectionCounters = {
  accepted: uncounted,
  received: uncounted,
  sent: uncounted,
  closed: { limit: uncounted, malformed: uncounted, timeout: uncounted },
};

/** The collaborators of an HTTP server. */
export interface HttpServerDeps {
  readonly handler: HttpHandler;
  readonly clock: Clock;
  /** Default: the connections are not counted. */
  readonly counters?: ConnectionCounters;
  /** Opens a listener. */
  readonly listen: Network["listenStream"];
  /** Called for errors that a listener reports by itself, and for unexpected errors of the handler. */
  onError(error: Error): void;
  /** Called if `::` is not bound because the system has no IPv6. */
  readonly onMissing?: ((error: Error) => void) | undefined;
}

interface Bound {
  url: string;
  secure: boolean;
  listener: StreamListener;
}

/** An HTTP/1 server on any number of plain and TLS listeners. A handler responds to its requests. */
export class HttpServer {
  readonly #deps: HttpServerDeps;
  readonly #shared: Shared;
  #bound: Bound[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** The certificate whose expiry is known. */
  #dated: { tls: TlsFiles; expiry: number } | undefined;
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  /** Set while `stop` waits for the last connection. */
  #empty: (() => void) | undefined;

  /** @throws RangeError for an invalid trusted network */
  constructor(options: HttpServerOptions, deps: HttpServerDeps) {
    this.#deps = deps;
    this.#shared = {
      clock: deps.clock,
      handler: deps.handler,
      counters: deps.counters ?? noCounters,
      settings: createServerSettings(options),
      expendable: new LinkedList(),
      stalled: new LinkedList(),
      inherited: new LinkedList(),
      counts: new ConnectionCounts(),
      turns: new FairQueue(),
      onError: (error) => deps.onError(error),
      stopping: false,
    };
  }

  /** Number of open connections, without those that the heirs of responses have. */
  get open(): number {
    return this.#shared.expendable.size + this.#shared.stalled.size;
  }

  /** Whether no connection is open. */
  get #isEmpty(): boolean {
    return this.open + this.#shared.inherited.size === 0;
  }

  /** Binds all addresses. Rejects if an address cannot be bound, with a message that names it. Idempotent. */
  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  /** Returns when the first certificate of the chain expires, in seconds since 1970. @throws Error without a certificate */
  certificateExpiry(): number {
    const { tls } = this.#shared.settings.options;
    if (tls === undefined) throw new Error("no certificate");
    if (this.#dated?.tls !== tls) this.#dated = { tls, expiry: chainExpiry(tls) };
    return this.#dated.expiry;
  }

  /** Returns the bound addresses as URLs. */
  urls(): string[] {
    return this.#bound.map(({ url }) => url);
  }

  /** Closes the listeners, waits for pending requests until `deadline` is aborted, then closes all connections. Idempotent. */
  stop(deadline: AbortSignal): Promise<void> {
    this.#stopped ??= this.#stop(deadline);
    return this.#stopped;
  }

  /**
   * Prepares a reload. Open connections stay open. A new certificate and key apply to new connections.
   * @returns a function that applies the options to all later requests
   * @throws RangeError for an invalid trusted network, Error for an invalid certificate or key
   */
  prepare(options: HttpServerOptions): () => void {
    const settings = createServerSettings(options);
    const { tls } = options;
    const takeTls = this.#bound.flatMap(({ secure, listener }) =>
      tls && secure ? [listener.prepareTls(tls)] : [],
    );
    return () => {
      for (const take of takeTls) take();
      this.#shared.settings = settings;
    };
  }

  /** Checks the timeouts of all connections. The server calls it about once a second; tests also call it. */
  sweep(): void {
    this.#forEach((connection) => connection.checkTimeouts());
    if (this.open > 0) return;
    clearInterval(this.#timer); // an idle server does not wake the thread
    this.#timer = undefined;
  }

  async #start(): Promise<void> {
    const { listen, listenTls } = this.#shared.settings.options;
    const addresses = [
      ...listen.map((address) => ({ ...address, secure: false })),
      ...listenTls.map((address) => ({ ...address, secure: true })),
    ];
    this.#bound = await bindAll(
      addresses,
      (address) => this.#listen(address, address.secure),
      ({ listener }) => listener.close(),
      this.#deps.onMissing,
    );
  }

  async #listen({ host, port }: ListenAddress, secure: boolean): Promise<Bound> {
    const { listen, onError } = this.#deps;
    const { tls, maxConnections } = this.#shared.settings.options;
    if (secure && tls === undefined) throw new Error("an HTTPS listener needs a certificate and a key");
    const handler = this.#handler(secure);
    const maxHandshakes = Math.min(mostHandshakes, Math.ceil(maxConnections / 4));
    const security = secure && tls ? { tls, maxHandshakes } : {};
    const listener = await listen({ host, port, ...security, handler, onError });
    return { url: formatUrl(secure ? "https" : "http", host, listener.port), secure, listener };
  }

  #handler(secure: boolean): StreamHandler<HttpConnection> {
    return {
      opened: (connection) => this.#opened(connection, secure),
      received: (state, bytes, start, end) => state.received(bytes, start, end),
      ended: (state) => state.ended(),
      drained: (state) => state.drained(),
      closed: (state) => {
        state.closed();
        if (this.#isEmpty) this.#empty?.();
      },
      makeRoom: () => this.#evict(),
    };
  }

  #opened(connection: Connection, secure: boolean): HttpConnection {
    const { counters, settings, stopping } = this.#shared;
    const { options, trusted, maxPerAddress } = settings;
    const isProxy = trusted.contains(connection.remote);
    counters.accepted.inc();
    this.#timer ??= setInterval(() => this.sweep(), sweepMs).unref();
    // With TLS, the header would precede the handshake, where it is not read.
    const proxyHeaderDue = options.proxyProtocol && !secure && isProxy;
    const state = new HttpConnection(
      this.#shared,
      connection,
      proxyHeaderDue,
      options.proxyProtocol && isProxy,
    );
    if (stopping) {
      state.destroy();
      return state;
    }
    // A proxy has many clients.
    if (!isProxy && state.ofAddress > maxPerAddress) state.turnAway("limit");
    // The new connection is closed only if no other one can be.
    while (this.open > options.maxConnections && this.#evict(state));
    return state;
  }

  /**
   * Closes the connection that has waited longest for its client.
   * @param fresh  a new connection, which is closed only if no other one can be
   * @returns whether a connection was closed
   */
  #evict(fresh?: HttpConnection): boolean {
    const { expendable, stalled, settings } = this.#shared;
    const { first } = expendable;
    const hasOther = first !== undefined && first !== fresh;
    const victim = !hasOther && settings.options.evictsBusy ? (stalled.first ?? first) : first;
    if (victim === undefined) return false;
    victim.turnAway("limit");
    return true;
  }

  async #stop(deadline: AbortSignal): Promise<void> {
    this.#shared.stopping = true;
    await this.#started?.catch(() => undefined);
    const bound = this.#bound;
    this.#bound = [];
    await Promise.all(bound.map(({ listener }) => listener.close()));
    this.#forEach((connection) => {
      if (connection.isIdle) connection.destroy();
    });
    if (!this.#isEmpty && !deadline.aborted) {
      await new Promise<void>((resolve) => {
        this.#empty = resolve;
        deadline.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    this.#forEach((connection) => connection.destroy(true));
    this.#shared.inherited.forEach((connection) => {
      connection.destroy(true);
    });
    clearInterval(this.#timer);
  }

  #forEach(visit: (connection: HttpConnection) => void): void {
    this.#shared.expendable.forEach(visit);
    this.#shared.stalled.forEach(visit);
  }
}
