import { HttpServer } from "../http/http-server.ts";
import type { HttpServerOptions } from "../http/options.ts";
import { type Route, type RouteRequest, Routes } from "../http/routes.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import type { Clock } from "../lib/clock.ts";
import type { Network } from "../net/network.ts";
import { describeShortage } from "../net/shortage.ts";
import type { TlsFiles } from "../net/stream.ts";
import { listenUnix } from "../net/unix-socket.ts";
import type { EventLoopLag } from "../observability/event-loop-lag.ts";
import { type Logger, silentLogger } from "../observability/logger.ts";
import type { FamilySnapshot } from "../observability/metrics.ts";
import { prometheusContentType, renderPrometheus } from "../observability/prometheus.ts";
import { oncePerMinute, RateLimitedLog } from "../observability/rate-limited.ts";
import type { Admin } from "./admin.ts";
import { healthRoutes, type Readiness } from "./health.ts";
import { profileRoutes, refuseProfile } from "./profile-routes.ts";
import { mainProfiler, type Profiler } from "./profiles.ts";

export interface OperatorServerOptions {
  /** An address, or the path of a unix socket, which only its owner may open: every client has all rights. */
  listen: ListenAddress | { readonly path: string };
  /** Serves HTTPS. */
  tls?: TlsFiles | undefined;
  /** Whether only the admin API and the dashboard are served, without metrics, health and profiles. */
  isAdminOnly?: boolean;
  /** Whether `/debug/profile/*` exist. Profiles show the inside of the process. */
  profiling: boolean;
  /** Names under which profiles may be requested, besides those of `admin.hosts`; in lower case. */
  profilingHosts?: readonly string[];
  /** The version of the tracker. */
  version: string;
}

export interface OperatorServerDeps {
  metrics: { scrape(): Promise<readonly FamilySnapshot[]> };
  isReady(): Readiness | Promise<Readiness>;
  /** Opens a listener. */
  network: Pick<Network, "listenStream">;
  clock: Clock;
  /** Measures this thread from the start of the listener on; its owner stops it. */
  lag: Pick<EventLoopLag, "read">;
  logger?: Logger;
  /** Where there are workers; the main thread's alone unless given. */
  profiler?: Profiler;
  /** Absent if API and dashboard are off on this listener. */
  admin?: Admin | undefined;
}

/** Each connection serves one request. At the limit, the oldest connection is closed, so that a health check always gets through. */
const serverOptions: Omit<HttpServerOptions, "listen" | "listenTls"> = {
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

/** Stands in for the address of a unix socket. */
const noAddress: ListenAddress = { host: "127.0.0.1", port: 0 };

/**
 * A listener for operators: `/metrics`, `/livez`, `/readyz`, `/version` and, where allowed, profiles, the admin API and the
 * dashboard. Metrics and health have no authentication, so the listener belongs on a private address. A client that
 * disconnects, or that does not read, affects no other client.
 */
export class OperatorServer {
  readonly #options: OperatorServerOptions;
  readonly #deps: OperatorServerDeps;
  readonly #log: RateLimitedLog;
  readonly #shortages: RateLimitedLog;
  #server: HttpServer | undefined;

  constructor(options: OperatorServerOptions, deps: OperatorServerDeps) {
    this.#options = options;
    this.#deps = deps;
    const { logger = silentLogger, clock } = deps;
    this.#log = new RateLimitedLog(logger, clock);
    this.#shortages = new RateLimitedLog(logger, clock, oncePerMinute);
  }

  /** `http://127.0.0.1:6880`, or `unix:/run/chihaya/chihaya.sock`; "" while it does not listen. */
  get url(): string {
    const { listen } = this.#options;
    if (this.#server !== undefined && "path" in listen) return `unix:${listen.path}`;
    return this.#server?.urls()[0] ?? "";
  }

  get isSocket(): boolean {
    return "path" in this.#options.listen;
  }

  /** Describes what the listener serves, for log lines. */
  get contents(): string[] {
    const { isAdminOnly } = this.#options;
    if (this.isSocket) return ["admin API"];
    return [
      ...(isAdminOnly ? [] : ["metrics and health"]),
      ...(this.#deps.admin === undefined ? [] : ["dashboard and admin API"]),
    ];
  }

  /** Returns when the certificate expires, in seconds since 1970. @throws Error without one */
  certificateExpiry(): number {
    if (this.#server === undefined) throw new Error("not listening");
    return this.#server.certificateExpiry();
  }

  /** Rejects with a message that names the address if it cannot be bound. Idempotent. */
  async start(): Promise<void> {
    if (this.#server === undefined) {
      const { clock, network } = this.#deps;
      const { listen, tls } = this.#options;
      const address = "path" in listen ? noAddress : listen;
      const addresses = tls
        ? { listen: [], listenTls: [address], tls }
        : { listen: [address], listenTls: [] };
      const server = new HttpServer(
        { ...serverOptions, ...addresses },
        {
          handler: new Routes(this.#routes(), (err) => this.#log.error("answer", { err }, this.#name)),
          clock,
          listen: (options) =>
            "path" in listen ? listenUnix({ ...options, path: listen.path }) : network.listenStream(options),
          onError: (error) => this.#warn(error),
        },
      );
      await server.start();
      this.#server = server;
    }
    this.#deps.lag.read();
  }

  /** Closes the listener and all its connections. Idempotent. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.stop(AbortSignal.abort());
  }

  #routes(): Route[] {
    const { version, profiling, profilingHosts = [], listen, tls, isAdminOnly } = this.#options;
    const { metrics, isReady, lag, profiler = mainProfiler, admin } = this.#deps;
    const bound = "path" in listen ? undefined : listen;
    const adminRoutes = admin?.routes({ bound, hasTls: tls !== undefined }) ?? [];
    if (isAdminOnly) return adminRoutes;
    const refuse = (request: RouteRequest) =>
      bound && refuseProfile(request, { bound: bound.host, hosts: profilingHosts }, admin);
    return [
      {
        path: "/metrics",
        handle: async () => ({
          status: 200,
          type: prometheusContentType,
          body: renderPrometheus(await metrics.scrape()),
        }),
      },
      ...healthRoutes(version, lag, isReady),
      ...(profiling ? profileRoutes(profiler, refuse) : []),
      ...adminRoutes,
    ];
  }

  get #name(): string {
    return this.#options.isAdminOnly ? "admin listener" : "metrics listener";
  }

  #warn(err: Error): void {
    const shortage = describeShortage(err);
    if (shortage === undefined) this.#log.warn("listener", { err }, this.#name);
    else this.#shortages.warn(shortage, { where: this.#name }, shortage);
  }
}
