import { HttpServer } from "../../http/http-server.ts";
import type { Clock } from "../../lib/clock.ts";
import type { TrackerLogic } from "../../middleware/logic.ts";
import { listenStream } from "../../net/portable/stream.ts";
import type { Metrics } from "../../observability/metrics.ts";
import type { Frontend } from "../frontend.ts";
import { HttpMetrics } from "./http-metrics.ts";
import type { HttpOptions } from "./options.ts";
import { Responder } from "./responder.ts";
import { createSettings } from "./settings.ts";

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

/** Announces and scrapes over HTTP/1 (BEP 3, 7, 23, 24, 31, 48): the handler of an HTTP server. */
export class HttpFrontend implements Frontend {
  readonly name = "http";
  readonly #server: HttpServer;
  readonly #responder: Responder;

  /** @throws RangeError for a route or a trusted network that cannot be used */
  constructor(options: HttpOptions, dependencies: HttpDependencies) {
    const { logic, metrics, clock, onError, onMissing, listen = listenStream } = dependencies;
    const counters = new HttpMetrics(metrics, () => this.#server.open);
    this.#responder = new Responder(createSettings(options), logic, counters);
    this.#server = new HttpServer(options, {
      handler: this.#responder,
      clock,
      counters,
      listen,
      onError,
      onMissing,
    });
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  urls(): string[] {
    return this.#server.urls();
  }

  stop(deadline: AbortSignal): Promise<void> {
    return this.#server.stop(deadline);
  }

  /**
   * Makes what takes other options for all requests to come; open connections stay. Certificate and key serve new
   * connections.
   * @throws RangeError for a route or a trusted network, Error for a certificate or a key that cannot be used
   */
  prepare(options: HttpOptions): () => void {
    const settings = createSettings(options);
    const update = this.#server.prepare(options);
    return () => {
      update();
      this.#responder.update(settings);
    };
  }

  /** Acts on the timeouts of all connections at once, for tests. */
  sweep(): void {
    this.#server.sweep();
  }
}
