import { HttpServer } from "../../http/http-server.ts";
import type { Routes } from "../../http/routes.ts";
import { aborted } from "../../lib/aborted.ts";
import type { Clock } from "../../lib/clock.ts";
import type { TrackerLogic } from "../../middleware/logic.ts";
import { listenStream } from "../../net/portable/stream.ts";
import { registerCertificates } from "../../observability/certificate-metrics.ts";
import type { Metrics } from "../../observability/metrics.ts";
import type { RequestReporter } from "../../observability/observer.ts";
import type { Frontend } from "../frontend.ts";
import type { Handover } from "../handover.ts";
import { createConnectionCounters } from "./http-metrics.ts";
import type { HttpOptions } from "./options.ts";
import { Responder } from "./responder.ts";
import { createSettings } from "./settings.ts";

/** The collaborators of the HTTP frontend. */
export interface HttpDependencies {
  logic: TrackerLogic;
  clock: Clock;
  metrics: Metrics;
  /** Reports requests to the observers; without it, requests are not reported. */
  requests?: RequestReporter;
  /** Creates what handles requests that are neither announces nor scrapes, at the start and at each reload. */
  createRoutes?: ((options: HttpOptions) => Routes | undefined) | undefined;
  /** Where another frontend takes over connections. */
  handover?: Handover;
  /** Called for errors that a listener reports by itself. */
  onError: (error: Error) => void;
  /** Called if `::` is not bound because the system has no IPv6. */
  onMissing?: (error: Error) => void;
  /** Opens a listener; default: through node:net and node:tls. */
  listen?: typeof listenStream;
}

/** Serves announces and scrapes over HTTP/1 (BEP 3, 7, 23, 24, 31, 48). */
export class HttpFrontend implements Frontend {
  readonly name = "http";
  readonly #server: HttpServer;
  readonly #responder: Responder;
  readonly #metrics: Metrics;
  readonly #createRoutes: (options: HttpOptions) => Routes | undefined;

  /** @throws RangeError for an invalid route or trusted network */
  constructor(options: HttpOptions, dependencies: HttpDependencies) {
    const {
      logic,
      metrics,
      requests,
      createRoutes = () => undefined,
      handover,
      clock,
      onError,
      onMissing,
      listen = listenStream,
    } = dependencies;
    this.#metrics = metrics;
    const counters = createConnectionCounters(metrics, () => this.#server.open);
    this.#createRoutes = createRoutes;
    const settings = createSettings(options, createRoutes(options));
    this.#responder = new Responder(settings, logic, requests, handover);
    if (handover !== undefined)
      handover.http = {
        urls: () => this.urls(),
        options: () => this.#responder.settings.options,
      };
    this.#server = new HttpServer(options, {
      handler: this.#responder,
      clock,
      counters,
      listen,
      onError,
      onMissing,
    });
  }

  async start(): Promise<void> {
    const server = this.#server;
    await server.start();
    registerCertificates(this.#metrics, server.urls(), () => server.certificateExpiry());
  }

  urls(): string[] {
    return this.#server.urls();
  }

  async stop(deadline: AbortSignal): Promise<void> {
    await this.#server.stop(deadline);
    // Requests can still wait whose clients have gone away.
    await Promise.race([this.#responder.drained(), aborted(deadline)]);
    this.#responder.giveUp();
  }

  /**
   * Prepares a reload. Open connections stay open. A new certificate and key apply to new connections.
   * @returns a function that applies the options to all later requests
   * @throws RangeError for an invalid route or trusted network, Error for an invalid certificate or key
   */
  prepare(options: HttpOptions): () => void {
    const settings = createSettings(options, this.#createRoutes(options));
    const update = this.#server.prepare(options);
    return () => {
      update();
      this.#responder.update(settings);
    };
  }

  /** Checks the timeouts of all connections now, for tests. */
  sweep(): void {
    this.#server.sweep();
  }
}
