import type { ListenAddress } from "../../ip/listen-address.ts";
import type { Clock } from "../../lib/clock.ts";
import { FairQueue } from "../../lib/fair-queue.ts";
import { LinkedList } from "../../lib/linked-list.ts";
import type { TrackerLogic } from "../../middleware/logic.ts";
import { formatUrl } from "../../net/bind-error.ts";
import { listenStream } from "../../net/portable/stream.ts";
import type { Connection, StreamHandler, StreamListener } from "../../net/stream.ts";
import type { Metrics } from "../../observability/metrics.ts";
import { bindAll } from "../bind-all.ts";
import { ExchangePool } from "../exchange.ts";
import type { Frontend } from "../frontend.ts";
import { HttpConnection, type Shared } from "./connection.ts";
import { ConnectionCounts } from "./connection-counts.ts";
import { HttpExchange } from "./exchange.ts";
import { HttpMetrics } from "./http-metrics.ts";
import type { HttpOptions } from "./options.ts";
import { Responder } from "./responder.ts";
import { createSettings } from "./settings.ts";

const sweepMs = 1000;
/** TLS handshakes that a listener may have under way, and never more than a quarter of the connections. */
const mostHandshakes = 1024;
/** Connections that any address may have, however low the limit is. */
const minPerAddress = 16;

/** What the HTTP frontend stands on. */
export interface HttpDependencies {
  logic: TrackerLogic;
  clock: Clock;
  metrics: Metrics;
  /** Hears of errors that a listener reports on its own. */
  onError: (error: Error) => void;
  /** Hears of `::` where it was left out, because the system has no IPv6. */
  onMissing?: (error: Error) => void;
  /** How bytes reach the kernel; node:net and node:tls unless told. */
  listen?: typeof listenStream;
}

interface Bound {
  url: string;
  secure: boolean;
  listener: StreamListener;
}

/** Announces and scrapes over HTTP/1 (BEP 3, 7, 23, 24, 31, 48), on any number of plain and TLS listeners. */
export class HttpFrontend implements Frontend {
  readonly name = "http";
  readonly #dependencies: HttpDependencies;
  readonly #shared: Shared;
  #bound: Bound[] = [];
  #timer: NodeJS.Timeout | undefined;
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  /** Set while `stop` waits for the last connection. */
  #empty: (() => void) | undefined;

  /** @throws RangeError for a route or a trusted network that cannot be used */
  constructor(options: HttpOptions, dependencies: HttpDependencies) {
    this.#dependencies = dependencies;
    const metrics = new HttpMetrics(dependencies.metrics, () => this.#open);
    this.#shared = {
      clock: dependencies.clock,
      responder: new Responder(createSettings(options), dependencies.logic, metrics),
      metrics,
      exchanges: createPool(options),
      expendable: new LinkedList(),
      stalled: new LinkedList(),
      counts: new ConnectionCounts(),
      turns: new FairQueue(),
      onError: dependencies.onError,
      stopping: false,
    };
  }

  /** Open connections. */
  get #open(): number {
    return this.#shared.expendable.size + this.#shared.stalled.size;
  }

  get #options(): HttpOptions {
    return this.#shared.responder.settings.options;
  }

  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  urls(): string[] {
    return this.#bound.map(({ url }) => url);
  }

  stop(deadline: AbortSignal): Promise<void> {
    this.#stopped ??= this.#stop(deadline);
    return this.#stopped;
  }

  /**
   * Makes what takes other options for all requests to come; open connections stay. Certificate and key serve new
   * connections.
   * @throws RangeError for a route or a trusted network, Error for a certificate or a key that cannot be used
   */
  prepare(options: HttpOptions): () => void {
    const old = this.#options;
    const settings = createSettings(options);
    const { tls } = options;
    const takeTls = this.#bound.flatMap(({ secure, listener }) =>
      tls && secure ? [listener.prepareTls(tls)] : [],
    );
    return () => {
      for (const take of takeTls) take();
      if (options.maxNumWant !== old.maxNumWant || options.maxScrapeInfoHashes !== old.maxScrapeInfoHashes) {
        this.#shared.exchanges = createPool(options);
      }
      this.#shared.responder.settings = settings;
      this.#shared.metrics.responses.declare();
    };
  }

  /** Acts on the timeouts of all connections. The frontend calls it about once a second; tests call it at will. */
  sweep(): void {
    this.#forEach((connection) => connection.checkTimeouts());
  }

  async #start(): Promise<void> {
    const { listen, listenTls } = this.#options;
    const addresses = [
      ...listen.map((address) => ({ ...address, secure: false })),
      ...listenTls.map((address) => ({ ...address, secure: true })),
    ];
    this.#bound = await bindAll(
      addresses,
      (address) => this.#listen(address, address.secure),
      ({ listener }) => listener.close(),
      this.#dependencies.onMissing,
    );
    this.#timer = setInterval(() => this.sweep(), sweepMs).unref();
  }

  async #listen({ host, port }: ListenAddress, secure: boolean): Promise<Bound> {
    const { listen = listenStream, onError } = this.#dependencies;
    const { tls } = this.#options;
    if (secure && tls === undefined) throw new Error("an HTTPS listener needs a certificate and a key");
    const handler = this.#handler(secure);
    const maxHandshakes = Math.min(mostHandshakes, Math.ceil(this.#options.maxConnections / 4));
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
        if (this.#open === 0) this.#empty?.();
      },
      makeRoom: () => this.#evict(),
    };
  }

  #opened(connection: Connection, secure: boolean): HttpConnection {
    const { metrics, responder, stopping } = this.#shared;
    const { options, trusted } = responder.settings;
    const isProxy = trusted.contains(connection.remote);
    metrics.accepted.inc();
    // Over TLS the header would stand before the handshake, where nobody looks for it.
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
    // Behind a proxy there are many clients.
    if (!isProxy && state.ofAddress > Math.max(minPerAddress, options.maxConnections / 4)) {
      metrics.rejected.limit.inc();
      state.destroy();
    }
    // The new one is the last of them: it goes where no other can.
    while (this.#open > options.maxConnections && this.#evict());
    return state;
  }

  /** Closes the connection that has waited longest for its client. @returns whether there was one */
  #evict(): boolean {
    const { expendable, metrics } = this.#shared;
    if (expendable.first === undefined) return false;
    metrics.rejected.limit.inc();
    expendable.first.destroy();
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
    if (this.#open > 0 && !deadline.aborted) {
      await new Promise<void>((resolve) => {
        this.#empty = resolve;
        deadline.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    this.#forEach((connection) => connection.destroy(true));
    clearInterval(this.#timer);
  }

  #forEach(visit: (connection: HttpConnection) => void): void {
    this.#shared.expendable.forEach(visit);
    this.#shared.stalled.forEach(visit);
  }
}

function createPool({ maxNumWant, maxScrapeInfoHashes }: HttpOptions): ExchangePool<HttpExchange> {
  return new ExchangePool(() => new HttpExchange(maxNumWant, maxScrapeInfoHashes));
}
