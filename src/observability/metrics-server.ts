import type { ListenAddress } from "../ip/listen-address.ts";
import type { Clock } from "../lib/clock.ts";
import { formatUrl } from "../net/bind-error.ts";
import type { Network } from "../net/network.ts";
import { describeShortage } from "../net/shortage.ts";
import type { StreamListener } from "../net/stream.ts";
import { refuseForeign } from "./browser-guard.ts";
import { EventLoopLag } from "./event-loop-lag.ts";
import { type Logger, silentLogger } from "./logger.ts";
import type { FamilySnapshot } from "./metrics.ts";
import {
  OperatorConnections,
  type OperatorRequest,
  type OperatorResponse,
  plain,
} from "./operator-connections.ts";
import { mainProfiler, type Profiler } from "./profiles.ts";
import { prometheusContentType, renderPrometheus } from "./prometheus.ts";
import { oncePerMinute, RateLimitedLog } from "./rate-limited.ts";

export interface MetricsServerOptions {
  listen: ListenAddress;
  /** Whether `/debug/profile/*` exist. They show the inside of the process to everyone who reaches the listener. */
  profiling: boolean;
  /** Names by which profiles may be asked for, besides IP addresses and `localhost`; in lower case. */
  profilingHosts?: readonly string[];
  /** The tracker's, for `/version`. */
  version: string;
}

export interface MetricsServerDeps {
  metrics: { scrape(): Promise<readonly FamilySnapshot[]> };
  isReady(): Readiness | Promise<Readiness>;
  /** How bytes reach the kernel. */
  network: Pick<Network, "listenStream">;
  clock: Clock;
  logger?: Logger;
  /** Where there are workers; the main thread's alone unless given. */
  profiler?: Profiler;
}

/** Whether a component is ready, or why it is not, or what is to be said although it is. */
export type ComponentState = boolean | string | { readyBut: string };
type Readiness = Record<string, ComponentState>;
type Handler = (request: OperatorRequest) => OperatorResponse | Promise<OperatorResponse>;

/** Seconds. */
const longestProfile = 60;

/**
 * The listener for operators: `/metrics`, `/livez`, `/readyz`, `/version` and, where allowed, profiles. It has no
 * authentication and belongs on a private address. A client that goes away, or never reads, harms nothing.
 */
export class MetricsServer {
  readonly #options: MetricsServerOptions;
  readonly #deps: MetricsServerDeps;
  readonly #log: RateLimitedLog;
  readonly #shortages: RateLimitedLog;
  readonly #profiler: Profiler;
  readonly #lag: EventLoopLag = new EventLoopLag();
  readonly #routes: ReadonlyMap<string, Handler>;
  readonly #connections: OperatorConnections;
  #listener: StreamListener | undefined;
  #profiling = false;

  constructor(options: MetricsServerOptions, deps: MetricsServerDeps) {
    this.#options = options;
    this.#deps = deps;
    const { logger = silentLogger, clock } = deps;
    this.#log = new RateLimitedLog(logger, clock);
    this.#shortages = new RateLimitedLog(logger, clock, oncePerMinute);
    this.#profiler = deps.profiler ?? mainProfiler;
    const version = { version: options.version, node: process.version };
    const routes: [string, Handler][] = [
      ["/metrics", () => this.#metrics()],
      ["/livez", () => this.#livez()],
      ["/readyz", () => this.#readyz()],
      ["/version", () => json(200, version)],
    ];
    if (options.profiling) {
      routes.push(
        ["/debug/profile/cpu", this.#guarded((request) => this.#cpuProfile(request))],
        ["/debug/profile/heap", this.#guarded((request) => this.#heapSnapshot(request))],
      );
    }
    this.#routes = new Map(routes);
    // A profile is silence for as long.
    this.#connections = new OperatorConnections((request) => this.#answer(request), longestProfile + 15);
  }

  /** `http://127.0.0.1:6880`; "" while it does not listen. */
  get url(): string {
    return this.#listener ? formatUrl("http", this.#options.listen.host, this.#listener.port) : "";
  }

  /** Rejects with a message that names the address if it cannot be bound. Idempotent. */
  async start(): Promise<void> {
    this.#listener ??= await this.#deps.network.listenStream({
      ...this.#options.listen,
      handler: this.#connections,
      onError: (error) => this.#warn(error),
    });
    this.#lag.take();
  }

  /** Closes the listener and all its connections. Idempotent. */
  async stop(): Promise<void> {
    this.#lag.stop();
    const listener = this.#listener;
    this.#listener = undefined;
    await listener?.close();
    this.#connections.destroyAll();
  }

  #warn(err: Error): void {
    const shortage = describeShortage(err);
    if (shortage === undefined) this.#log.warn("listener", { err }, "metrics listener");
    else this.#shortages.warn(shortage, { where: "metrics listener" }, shortage);
  }

  async #answer(request: OperatorRequest): Promise<OperatorResponse> {
    const handler = this.#routes.get(request.path);
    if (handler === undefined) return plain(404);
    try {
      return await handler(request);
    } catch (err) {
      request.gone.throwIfAborted();
      this.#log.error("answer", { err }, "metrics listener");
      return plain(500);
    }
  }

  /** Keeps what shows the inside of the process from pages of other sites in an operator's browser. */
  #guarded(handler: Handler): Handler {
    const { profilingHosts = [] } = this.#options;
    return (request) => {
      const why = refuseForeign(request, profilingHosts);
      return why === undefined ? handler(request) : plain(403, why);
    };
  }

  async #metrics(): Promise<OperatorResponse> {
    const body = renderPrometheus(await this.#deps.metrics.scrape());
    return { status: 200, type: prometheusContentType, body };
  }

  /** That this answers is what it says; the lag is that since the last look. */
  #livez(): OperatorResponse {
    const eventLoopLagSeconds = this.#lag.take();
    return json(200, { status: "alive", uptimeSeconds: process.uptime(), eventLoopLagSeconds });
  }

  async #readyz(): Promise<OperatorResponse> {
    const components = Object.entries(await this.#deps.isReady());
    const ready = components.every(([, state]) => state === true || typeof state === "object");
    return json(ready ? 200 : 503, {
      status: ready ? "ready" : "not ready",
      components: Object.fromEntries(components.map(([name, state]) => [name, describeState(state)])),
    });
  }

  async #cpuProfile(request: OperatorRequest): Promise<OperatorResponse> {
    const asked = request.query.get("seconds") ?? "10";
    const seconds = Number(asked);
    if (!/^\d+$/.test(asked) || seconds < 1 || seconds > longestProfile) {
      return plain(400, `seconds: a whole number from 1 to ${longestProfile}`);
    }
    return this.#profile(request, "cpuprofile", (worker) =>
      this.#profiler.profileCpu(worker, seconds, request.gone),
    );
  }

  #heapSnapshot(request: OperatorRequest): Promise<OperatorResponse> {
    return this.#profile(request, "heapsnapshot", async (worker) => {
      const chunks: Buffer[] = [];
      for await (const chunk of await this.#profiler.snapshotHeap(worker)) chunks.push(Buffer.from(chunk));
      return Buffer.concat(chunks);
    });
  }

  /** One at a time: a second one would be a profile of the first. */
  async #profile(
    { method, query }: OperatorRequest,
    extension: string,
    record: (worker: number) => Promise<string | Uint8Array>,
  ): Promise<OperatorResponse> {
    const asked = query.get("worker") ?? "0";
    const worker = Number(asked);
    const { workers } = this.#profiler;
    if (!/^\d+$/.test(asked) || worker > workers) {
      return plain(400, `worker: a whole number from 0, the main thread, to ${workers}`);
    }
    if (this.#profiling) return plain(409, "another profile is being recorded");
    this.#profiling = true;
    try {
      return {
        status: 200,
        type: "application/octet-stream",
        body: method === "HEAD" ? "" : await record(worker),
        headers: {
          "cross-origin-resource-policy": "same-origin",
          "content-disposition": `attachment; filename="chihaya-${process.pid}.${extension}"`,
        },
      };
    } finally {
      this.#profiling = false;
    }
  }
}

function describeState(state: ComponentState): string {
  if (typeof state === "object") return `ready, but ${state.readyBut}`;
  return typeof state === "string" ? state : state ? "ready" : "not ready";
}

function json(status: 200 | 503, body: object): OperatorResponse {
  return { status, type: "application/json", body: `${JSON.stringify(body)}\n` };
}
