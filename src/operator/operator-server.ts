import { HttpServer } from "../http/http-server.ts";
import type { HttpServerOptions } from "../http/options.ts";
import { type Route, Routes } from "../http/routes.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import type { Clock } from "../lib/clock.ts";
import type { Network } from "../net/network.ts";
import { describeShortage } from "../net/shortage.ts";
import { EventLoopLag } from "../observability/event-loop-lag.ts";
import { type Logger, silentLogger } from "../observability/logger.ts";
import type { FamilySnapshot } from "../observability/metrics.ts";
import { prometheusContentType, renderPrometheus } from "../observability/prometheus.ts";
import { oncePerMinute, RateLimitedLog } from "../observability/rate-limited.ts";
import { healthRoutes, type Readiness } from "./health.ts";
import { profileRoutes } from "./profile-routes.ts";
import { mainProfiler, type Profiler } from "./profiles.ts";

export interface OperatorServerOptions {
  listen: ListenAddress;
  /** Whether `/debug/profile/*` exist. They show the inside of the process to everyone who reaches the listener. */
  profiling: boolean;
  /** Names by which profiles may be asked for, besides IP addresses and `localhost`; in lower case. */
  profilingHosts?: readonly string[];
  /** The tracker's, for `/version`. */
  version: string;
}

export interface OperatorServerDeps {
  metrics: { scrape(): Promise<readonly FamilySnapshot[]> };
  isReady(): Readiness | Promise<Readiness>;
  /** How bytes reach the kernel. */
  network: Pick<Network, "listenStream">;
  clock: Clock;
  logger?: Logger;
  /** Where there are workers; the main thread's alone unless given. */
  profiler?: Profiler;
}

/** One request a connection. When there are too many connections the oldest goes: a look at the health has to get through. */
const serverOptions: Omit<HttpServerOptions, "listen"> = {
  listenTls: [],
  readTimeout: 10,
  writeTimeout: 75,
  idleTimeout: 10,
  keepAlive: false,
  realIpHeader: "",
  trustedProxies: [],
  proxyProtocol: false,
  maxConnections: 64,
  maxPerAddress: Number.POSITIVE_INFINITY,
  evictsBusy: true,
  maxHeaderBytes: 8192,
};

/** Nothing is counted here: the counters are for the tracker's own clients. */
const uncounted = { inc(): void {} };
const counters = {
  accepted: uncounted,
  rejected: {
    malformed: uncounted,
    too_large: uncounted,
    method: uncounted,
    version: uncounted,
    timeout: uncounted,
    limit: uncounted,
  },
};

/**
 * The listener for operators: `/metrics`, `/livez`, `/readyz`, `/version` and, where allowed, profiles. It has no
 * authentication and belongs on a private address. A client that goes away, or never reads, harms nothing.
 */
export class OperatorServer {
  readonly #options: OperatorServerOptions;
  readonly #deps: OperatorServerDeps;
  readonly #log: RateLimitedLog;
  readonly #shortages: RateLimitedLog;
  readonly #lag: EventLoopLag = new EventLoopLag();
  #server: HttpServer | undefined;

  constructor(options: OperatorServerOptions, deps: OperatorServerDeps) {
    this.#options = options;
    this.#deps = deps;
    const { logger = silentLogger, clock } = deps;
    this.#log = new RateLimitedLog(logger, clock);
    this.#shortages = new RateLimitedLog(logger, clock, oncePerMinute);
  }

  /** `http://127.0.0.1:6880`; "" while it does not listen. */
  get url(): string {
    return this.#server?.urls()[0] ?? "";
  }

  /** Rejects with a message that names the address if it cannot be bound. Idempotent. */
  async start(): Promise<void> {
    if (this.#server === undefined) {
      const { clock, network } = this.#deps;
      const server = new HttpServer(
        { ...serverOptions, listen: [this.#options.listen] },
        {
          handler: new Routes(this.#routes(), (err) =>
            this.#log.error("answer", { err }, "metrics listener"),
          ),
          clock,
          counters,
          listen: (options) => network.listenStream(options),
          onError: (error) => this.#warn(error),
        },
      );
      await server.start();
      this.#server = server;
    }
    this.#lag.take();
  }

  /** Closes the listener and all its connections. Idempotent. */
  async stop(): Promise<void> {
    this.#lag.stop();
    const server = this.#server;
    this.#server = undefined;
    await server?.stop(AbortSignal.abort());
  }

  #routes(): Route[] {
    const { version, profiling, profilingHosts = [] } = this.#options;
    const { metrics, isReady, profiler = mainProfiler } = this.#deps;
    return [
      {
        path: "/metrics",
        handle: async () => ({
          status: 200,
          type: prometheusContentType,
          body: renderPrometheus(await metrics.scrape()),
        }),
      },
      ...healthRoutes(version, this.#lag, isReady),
      ...(profiling ? profileRoutes(profiler, profilingHosts) : []),
    ];
  }

  #warn(err: Error): void {
    const shortage = describeShortage(err);
    if (shortage === undefined) this.#log.warn("listener", { err }, "metrics listener");
    else this.#shortages.warn(shortage, { where: "metrics listener" }, shortage);
  }
}
