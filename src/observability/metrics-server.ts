import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { bindError, formatUrl } from "../net/bind-error.ts";
import type { ListenAddress } from "../net/listen-address.ts";
import { EventLoopLag } from "./event-loop-lag.ts";
import { type Logger, silentLogger } from "./logger.ts";
import type { FamilySnapshot } from "./metrics.ts";
import { mainProfiler, type Profiler } from "./profiles.ts";
import { prometheusContentType, renderPrometheus } from "./prometheus.ts";

export interface MetricsServerOptions {
  listen: ListenAddress;
  /** Whether `/debug/profile/*` exist. They show the inside of the process to everyone who reaches the listener. */
  profiling: boolean;
  /** The tracker's, for `/version`. */
  version: string;
}

export interface MetricsServerDeps {
  metrics: { scrape(): Promise<readonly FamilySnapshot[]> };
  /** Each component with true when it is ready, or why it is not. */
  isReady(): Readiness | Promise<Readiness>;
  logger?: Logger;
  /** Where there are workers; the main thread's alone unless given. */
  profiler?: Profiler;
}

type Readiness = Record<string, boolean | string>;
type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** Seconds. */
const longestProfile = 60;

/**
 * The listener for operators: `/metrics`, `/livez`, `/readyz`, `/version` and, where allowed, profiles. It has no
 * authentication and belongs on a private address. A client that goes away, or never reads, harms nothing.
 */
export class MetricsServer {
  readonly #options: MetricsServerOptions;
  readonly #deps: MetricsServerDeps;
  readonly #logger: Logger;
  readonly #profiler: Profiler;
  readonly #lag: EventLoopLag = new EventLoopLag();
  readonly #routes: ReadonlyMap<string, Handler>;
  #server: Server | undefined;
  #profiling = false;

  constructor(options: MetricsServerOptions, deps: MetricsServerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#logger = deps.logger ?? silentLogger;
    this.#profiler = deps.profiler ?? mainProfiler;
    const routes: [string, Handler][] = [
      ["/metrics", (_, response) => this.#metrics(response)],
      ["/livez", (_, response) => this.#livez(response)],
      ["/readyz", (_, response) => this.#readyz(response)],
      [
        "/version",
        (_, response) => sendJson(response, 200, { version: options.version, node: process.version }),
      ],
    ];
    if (options.profiling) {
      routes.push(
        ["/debug/profile/cpu", (request, response) => this.#cpuProfile(request, response)],
        ["/debug/profile/heap", (request, response) => this.#heapSnapshot(request, response)],
      );
    }
    this.#routes = new Map(routes);
  }

  /** `http://127.0.0.1:6880`; "" while it does not listen. */
  get url(): string {
    const address = this.#server?.address() as AddressInfo | null | undefined;
    return address ? formatUrl("http", address.address, address.port) : "";
  }

  /** Rejects with a message that names the address if it cannot be bound. Idempotent. */
  async start(): Promise<void> {
    if (this.#server) return;
    const server = createServer({ maxHeaderSize: 8192 }, (request, response) => {
      void this.#handle(request, response);
    });
    server.maxConnections = 64;
    server.headersTimeout = 5_000;
    server.requestTimeout = 10_000;
    server.keepAliveTimeout = 30_000;
    server.timeout = (longestProfile + 15) * 1000; // of silence, as there is while a profile is recorded
    this.#server = server;
    const { host, port } = this.#options.listen;
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen({ host, port }, () => {
          server.off("error", reject);
          resolve();
        });
      });
    } catch (error) {
      this.#server = undefined;
      throw bindError("http", host, port, error);
    }
    server.on("error", (err) => this.#logger.warn({ err }, "metrics listener"));
    this.#lag.take();
  }

  /** Closes the listener and all its connections. Idempotent. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#lag.stop();
    if (!server) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => {}); // the client is gone
    try {
      const handler = this.#routes.get(splitUrl(request).path);
      if (handler === undefined) {
        send(response, 404, "text/plain", "not found\n");
      } else if (request.method !== "GET" && request.method !== "HEAD") {
        response.setHeader("allow", "GET, HEAD");
        send(response, 405, "text/plain", "method not allowed\n");
      } else {
        await handler(request, response);
      }
    } catch (err) {
      if (response.destroyed) return;
      this.#logger.error({ err }, "metrics listener");
      if (response.headersSent) response.destroy();
      else send(response, 500, "text/plain", "internal server error\n");
    }
  }

  async #metrics(response: ServerResponse): Promise<void> {
    send(response, 200, prometheusContentType, renderPrometheus(await this.#deps.metrics.scrape()));
  }

  /** That this answers is what it says; the lag is that since the last look. */
  #livez(response: ServerResponse): void {
    const body = { status: "alive", uptimeSeconds: process.uptime(), eventLoopLagSeconds: this.#lag.take() };
    sendJson(response, 200, body);
  }

  async #readyz(response: ServerResponse): Promise<void> {
    const components = Object.entries(await this.#deps.isReady());
    const ready = components.every(([, state]) => state === true);
    sendJson(response, ready ? 200 : 503, {
      status: ready ? "ready" : "not ready",
      components: Object.fromEntries(
        components.map(([name, state]) => [
          name,
          typeof state === "string" ? state : state ? "ready" : "not ready",
        ]),
      ),
    });
  }

  async #cpuProfile(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = splitUrl(request).query.get("seconds") ?? "10";
    const seconds = Number(asked);
    if (!/^\d+$/.test(asked) || seconds < 1 || seconds > longestProfile) {
      send(response, 400, "text/plain", `seconds: a whole number from 1 to ${longestProfile}\n`);
      return;
    }
    await this.#profile(request, response, "cpuprofile", async (worker) => {
      const gone = new AbortController();
      response.once("close", () => gone.abort());
      response.end(await this.#profiler.profileCpu(worker, seconds, gone.signal));
    });
  }

  async #heapSnapshot(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.#profile(request, response, "heapsnapshot", async (worker) =>
      pipeline(await this.#profiler.snapshotHeap(worker), response),
    );
  }

  /** One at a time: a second one would be a profile of the first. */
  async #profile(
    request: IncomingMessage,
    response: ServerResponse,
    extension: string,
    record: (worker: number) => Promise<void>,
  ): Promise<void> {
    const asked = splitUrl(request).query.get("worker") ?? "0";
    const worker = Number(asked);
    const { workers } = this.#profiler;
    if (!/^\d+$/.test(asked) || worker > workers) {
      send(response, 400, "text/plain", `worker: a whole number from 0, the main thread, to ${workers}\n`);
      return;
    }
    if (this.#profiling) {
      send(response, 409, "text/plain", "another profile is being recorded\n");
      return;
    }
    response.writeHead(200, {
      "content-type": "application/octet-stream",
      "content-disposition": `attachment; filename="chihaya-${process.pid}.${extension}"`,
      "cache-control": "no-store",
    });
    if (request.method === "HEAD") {
      response.end();
      return;
    }
    response.flushHeaders();
    this.#profiling = true;
    try {
      await record(worker);
    } finally {
      this.#profiling = false;
    }
  }
}

/** Without `URL`, which throws on what clients may send. */
function splitUrl({ url = "" }: IncomingMessage): { path: string; query: URLSearchParams } {
  const at = url.indexOf("?");
  return at === -1
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at)) };
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, "application/json", `${JSON.stringify(body)}\n`);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(body);
}
