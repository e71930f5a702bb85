import type { Route, RouteMethod, RouteRequest, RouteResponse } from "../http/routes.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import type { Clock } from "../lib/clock.ts";
import { Kept } from "../lib/kept.ts";
import type { Logger } from "../observability/logger.ts";
import type { AdminOptions } from "./admin-options.ts";
import { Access, type ListenerFacts, type Principal, refuseTokenInUrl } from "./api/access.ts";
import type { Api } from "./api/api.ts";
import type { BanDeps } from "./api/endpoints/bans.ts";
import type { ControlDeps } from "./api/endpoints/control.ts";
import type { JournalDeps } from "./api/endpoints/journal.ts";
import type { LogDeps } from "./api/endpoints/log.ts";
import type { SiteDeps } from "./api/endpoints/site.ts";
import type { StatsDeps } from "./api/endpoints/stats.ts";
import type { TorrentDeps } from "./api/endpoints/torrents.ts";
import type { WorkerDeps } from "./api/endpoints/workers.ts";
import { parseJson, requireJson } from "./api/json-body.ts";
import { Problem } from "./api/problem.ts";
import { Sampler, type SamplerDeps } from "./api/sampler.ts";
import type { Dashboard } from "./dashboard.ts";
import { isLoopback, refuseForeign } from "./guard.ts";
import type { Scope } from "./scopes.ts";

/** The parts of the process that the admin API uses. */
export interface AdminDeps
  extends SamplerDeps,
    ControlDeps,
    Pick<StatsDeps, "version" | "workers">,
    Pick<WorkerDeps, "describeWorkers">,
    Pick<TorrentDeps, "swarms">,
    Pick<BanDeps, "state">,
    Pick<SiteDeps, "callSite">,
    JournalDeps,
    LogDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  onError(error: Error): void;
}

/** How an admin listener is reached. */
export interface AdminListener {
  /** Undefined for a unix socket. */
  readonly bound: ListenAddress | undefined;
  readonly hasTls: boolean;
}

const methods: readonly RouteMethod[] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** Security headers of every response of API and dashboard. */
const securityHeaders: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
};

/**
 * The admin API and the dashboard, as routes for one or more listeners. Most of their code is loaded with the first
 * request; until then only the history is kept.
 */
export class Admin {
  readonly access: Access;
  readonly #deps: AdminDeps;
  readonly #sampler: Sampler;
  #options: AdminOptions;
  readonly #api: Kept<Api> = new Kept(() => this.#loadApi());
  readonly #dashboard: Kept<Dashboard> = new Kept(async () =>
    (await import("./dashboard.ts")).Dashboard.load(),
  );

  constructor(options: AdminOptions, deps: AdminDeps) {
    this.#options = options;
    this.#deps = deps;
    this.access = new Access(options.tokens, deps.clock);
    this.#sampler = new Sampler(deps);
  }

  start(): void {
    this.#sampler.start();
  }

  stop(): void {
    this.#sampler.stop();
  }

  /** Reads the metrics, as the timer does. */
  async sample(): Promise<void> {
    await this.#sampler.read();
  }

  /** Applies the options of a reload. */
  take(options: AdminOptions): void {
    this.#options = options;
    this.access.take(options.tokens);
  }

  /** Creates the routes of a listener. */
  routes(listener: AdminListener): Route[] {
    const guarded = (path: string, maxBody: number, handle: Handle): Route => ({
      path,
      methods,
      maxBody,
      handle: async (request) => {
        const response = await this.#guard(request, listener, handle).catch(toResponse);
        return { ...response, headers: { ...securityHeaders, ...response.headers } };
      },
    });
    return [
      guarded("/api/*", Number.POSITIVE_INFINITY, async (request, facts) =>
        (await this.#api.read()).respond(request, facts),
      ),
      guarded("/session", 64 * 1024, (request, facts) => this.#session(request, facts)),
      ...["/", "/assets/*", "/licenses.txt"].map((path) =>
        guarded(path, 0, async (request) => (await this.#dashboard.read()).respond(request)),
      ),
    ];
  }

  /** Names of the listeners, in lower case. */
  get hosts(): readonly string[] {
    return this.#options.hosts;
  }

  /** If tokens are configured, refuses a request without a token of the scope. @returns the response to a refused request */
  refuseWithout(scope: Scope, request: RouteRequest): RouteResponse | undefined {
    if (!this.access.hasTokens) return undefined;
    try {
      refuseTokenInUrl(request);
      const facts = { isLoopback: false, isTrusted: false, isSecure: this.#options.behindProxy };
      this.access.require(this.access.identify(request, facts), scope);
      return undefined;
    } catch (error) {
      return toResponse(error);
    }
  }

  async #guard(request: RouteRequest, listener: AdminListener, handle: Handle): Promise<RouteResponse> {
    const refusal = refuseForeign(request, { bound: listener.bound?.host, hosts: this.#options.hosts });
    if (refusal !== undefined) throw new Problem(refusal.status, refusal.detail);
    refuseTokenInUrl(request);
    return handle(request, this.#factsOf(listener));
  }

  #factsOf({ bound, hasTls }: AdminListener): ListenerFacts {
    return {
      // Behind a proxy every request comes from the proxy, whether it says so or not.
      isLoopback: bound !== undefined && isLoopback(bound.host) && !this.#options.behindProxy,
      isTrusted: bound === undefined,
      isSecure: hasTls || this.#options.behindProxy,
    };
  }

  async #loadApi(): Promise<Api> {
    const { createApi } = await import("./api/index.ts");
    return createApi({ ...this.#deps, sampler: this.#sampler, access: this.access });
  }

  /** Handles the session of a browser: POST starts a session with a token, DELETE ends it, GET returns its owner. */
  async #session(request: RouteRequest, facts: ListenerFacts): Promise<RouteResponse> {
    if (request.method === "POST") {
      const { principal, cookie } = this.access.open(await readToken(request), request, facts);
      return { ...describe(principal), headers: { "set-cookie": cookie } };
    }
    if (request.method === "DELETE")
      return { status: 204, headers: { "set-cookie": this.access.close(request, facts) } };
    if (request.method === "GET" || request.method === "HEAD")
      return describe(this.access.identify(request, facts));
    throw new Problem(405, "", { headers: { allow: "GET, HEAD, POST, DELETE" } });
  }
}

/** Returns the response to a problem. @throws any other error again */
function toResponse(error: unknown): RouteResponse {
  if (error instanceof Problem) return error.toResponse();
  throw error;
}

type Handle = (request: RouteRequest, facts: ListenerFacts) => Promise<RouteResponse>;

function describe({ name, scopes }: Principal): RouteResponse {
  return {
    status: 200,
    type: "application/json",
    body: `${JSON.stringify({ name, scopes: [...scopes] })}\n`,
  };
}

/** Reads `{"token": "..."}`. */
async function readToken({ body, headers }: RouteRequest): Promise<string> {
  requireJson(headers);
  const given = parseJson(await body.bytes()) as { token?: unknown } | null;
  if (typeof given?.token === "string") return given.token;
  throw new Problem(400, 'expected {"token": "..."}');
}
