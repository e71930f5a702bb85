import { randomBytes } from "node:crypto";
import { plain, type Route, type RouteRequest, type RouteResponse } from "../../../http/routes.ts";
import type { Address } from "../../../ip/address.ts";
import { Networks } from "../../../ip/networks.ts";
import type { Clock } from "../../../lib/clock.ts";
import { version } from "../../../lib/version.ts";
import type { FamilySnapshot, Metrics } from "../../../observability/metrics.ts";
import { noInfoHash } from "../../../protocol/http/errors.ts";
import type { PeerStore } from "../../../storage/peer-store.ts";
import { createPageCounters, type PageCounters } from "./counters.ts";
import { readFigures } from "./figures.ts";
import { formats, listTorrents, type ScrapeFormat, stateDump } from "./full-scrape.ts";
import { modes, unsupportedModes, writeTop } from "./modes.ts";
import { ModestClients } from "./modest-clients.ts";
import type { OpentrackerOptions } from "./options.ts";
import { readStatsPage, writeStatsPage } from "./stats-page.ts";
import { rankTorrents, type TopTorrents } from "./top-torrents.ts";

/** The collaborators of opentracker's pages. */
export interface PageDeps {
  readonly store: Pick<PeerStore, "statistics" | "records">;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Returns the metrics of all threads. */
  scrape(): Promise<readonly FamilySnapshot[]>;
  /** Returns memory that all threads share, zero at first. */
  buffer(name: string, bytes: number): Promise<SharedArrayBuffer>;
}

/** Maximum number of lists of all torrents that a thread sends at once. */
const mostLists = 16;
/** Seconds for which a ranking is kept. */
const rankingPeriod = 10;
const contentSecurity = { "content-security-policy": "default-src 'none'", "referrer-policy": "no-referrer" };

/**
 * The resources that users of opentracker know: statistics, lists of all torrents, the redirect of `/`; and the statistics of
 * bittorrent-tracker. One object for each HTTP frontend; a reload makes new routes.
 */
export class OpentrackerPages {
  readonly #deps: PageDeps;
  readonly #counters: PageCounters;
  readonly #modest: ModestClients;
  readonly #trackerId = randomBytes(4).readUInt32BE();
  #lists = 0;
  #ranking: { readonly since: number; readonly torrents: Promise<TopTorrents> } | undefined;

  private constructor(deps: PageDeps, modest: ModestClients) {
    this.#deps = deps;
    this.#counters = createPageCounters(deps.metrics);
    this.#modest = modest;
  }

  static async create(deps: PageDeps): Promise<OpentrackerPages> {
    const memory = await deps.buffer("full scrapes", ModestClients.bytes);
    return new OpentrackerPages(deps, new ModestClients(deps.clock, memory));
  }

  /**
   * Creates the routes.
   * @param scrapeRoutes  paths of scrapes
   * @throws RangeError for an invalid network
   */
  routes(options: OpentrackerOptions, scrapeRoutes: readonly string[]): Route[] {
    const { statsPath, statsFrom, fullScrape, redirectUrl } = options;
    const from = Networks.parse(statsFrom);
    const restricted = (handle: (request: RouteRequest) => Promise<RouteResponse>) => {
      return (request: RouteRequest) =>
        from.contains(request.client) ? handle(request) : plain(403, "access denied");
    };
    const routes: Route[] = [
      { path: statsPath, handle: restricted((request) => this.#respondToStats(request)) },
      { path: `${statsPath}.json`, handle: restricted(() => this.#writeJson()) },
    ];
    if (fullScrape) {
      const handle = (request: RouteRequest) => this.#scrape(request, from);
      const paths = scrapeRoutes.filter((route) => !/[:*]/.test(route));
      routes.push(...paths.map((path) => ({ path, handle })));
    }
    if (redirectUrl !== "") routes.push({ path: "/", handle: (request) => redirect(request, redirectUrl) });
    return routes.map((route) => ({
      ...route,
      handle: async (request) => {
        const response = await (route.handle(request) as RouteResponse | Promise<RouteResponse>);
        this.#counters.responses.get(`${response.status}`)?.inc();
        return response;
      },
    }));
  }

  async #respondToStats(request: RouteRequest): Promise<RouteResponse> {
    const { query, headers } = request;
    const accept = headers.get("accept") ?? "";
    if (query.has("info_hash")) return plain(400, "this is not the URL of announces");
    const given = query.getAll("mode").at(-1);
    if (given === undefined && accept === "application/json") return this.#writeJson();
    if (given === undefined && accept.includes("text/html")) return this.#writePage();
    const mode = given ?? "peer";
    const write = modes.get(mode);
    if (write !== undefined) return text(write(await this.#readFigures(), version));
    if (mode === "top10" || mode === "top100") return this.#writeTop(mode === "top10" ? 10 : 100);
    if (mode === "statedump") return this.#list(request, stateDump);
    if (mode === "tpbs") {
      const format = formats.get(query.getAll("format").at(-1) ?? "ben");
      return format === undefined
        ? plain(400, `unknown format; known are ${[...formats.keys()].join(", ")}`)
        : this.#list(request, format);
    }
    if (unsupportedModes.includes(mode))
      return plain(404, "this mode is not supported; the metrics listener has more at /metrics");
    return plain(400, `unknown mode; known are ${[...modes.keys(), ...otherModes].join(", ")}`);
  }

  async #readFigures(): Promise<ReturnType<typeof readFigures>> {
    const { store, scrape } = this.#deps;
    const [families, statistics] = await Promise.all([scrape(), store.statistics()]);
    return readFigures(families, statistics, process.uptime(), this.#trackerId);
  }

  async #writeJson(): Promise<RouteResponse> {
    return { status: 200, type: "application/json", body: JSON.stringify(await this.#readPage()) };
  }

  async #writePage(): Promise<RouteResponse> {
    const body = writeStatsPage(await this.#readPage());
    return { status: 200, type: "text/html; charset=utf-8", headers: contentSecurity, body };
  }

  async #readPage(): Promise<ReturnType<typeof readStatsPage>> {
    const { store, scrape } = this.#deps;
    const [families, statistics] = await Promise.all([scrape(), store.statistics()]);
    return readStatsPage(statistics, families);
  }

  /** Ranks the torrents at most once in ten seconds, however many clients ask. */
  async #writeTop(amount: 10 | 100): Promise<RouteResponse> {
    const { store, clock } = this.#deps;
    const { records } = store;
    if (records === undefined) return unlisted();
    if (this.#ranking === undefined || clock.seconds - this.#ranking.since >= rankingPeriod) {
      const ranking = { since: clock.seconds, torrents: rankTorrents(records) };
      this.#ranking = ranking;
      ranking.torrents.catch(() => {
        if (this.#ranking === ranking) this.#ranking = undefined;
      });
    }
    return text(writeTop(amount, await this.#ranking.torrents));
  }

  #scrape(request: RouteRequest, from: Networks): RouteResponse {
    if (request.target.includes("?")) {
      const reason = noInfoHash.message;
      return text(`d14:failure reason${reason.length}:${reason}e`);
    }
    return this.#list(
      request,
      formats.get("ben")!,
      from.contains(request.client) ? undefined : request.client,
    );
  }

  /** Lists all torrents. @param stranger  a client that may do so only from time to time */
  #list({ method }: RouteRequest, format: ScrapeFormat, stranger?: Address): RouteResponse {
    const { records } = this.#deps.store;
    if (records === undefined) return unlisted();
    if (this.#lists >= mostLists)
      return plain(503, "too many clients list all torrents", { "retry-after": "60" });
    const wait = stranger === undefined || method === "HEAD" ? 0 : this.#modest.take(stranger);
    if (wait > 0) return plain(429, "one list of all torrents in five minutes", { "retry-after": `${wait}` });
    const minutes = Math.floor(this.#deps.clock.unixSeconds / 60);
    const body = this.#count(listTorrents(records, format, minutes));
    return { status: 200, type: format.type, gzip: true, zstd: true, body };
  }

  async *#count(list: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    this.#lists++;
    this.#counters.fullScrapes.inc();
    try {
      for await (const chunk of list) {
        this.#counters.bytes.inc(chunk.length);
        yield chunk;
      }
    } finally {
      this.#lists--;
    }
  }
}

const otherModes = ["top10", "top100", "statedump", "tpbs"];

function text(body: string): RouteResponse {
  return { status: 200, type: "text/plain", body };
}

function unlisted(): RouteResponse {
  return plain(501, "the store cannot list its torrents");
}

/** An announce without a path must not be redirected to a web site. */
function redirect({ query }: RouteRequest, location: string): RouteResponse {
  return query.has("info_hash") ? plain(404) : { status: 302, headers: { location } };
}
