import type { RouteResponse } from "../../../http/routes.ts";
import type { TrackerNumbers, TrackerTraffic } from "../tracker-numbers.ts";
import type { GazelleSite } from "./gazelle-site.ts";
import { textOf } from "./query.ts";

type Value = { type: "byte" | "elapsed" | "number" | "string" | "version"; value: number | string };

/** The counts of a report, in the order and with the labels of Ocelot. */
const labels = [
  ["accepted", "connections opened"],
  ["open", "open connections"],
  ["connectionRate", "connections/s"],
  ["requests", "requests handled"],
  ["requestRate", "requests/s"],
  ["successful", "successful announcements"],
  ["refused", "failed announcements"],
  ["scrapes", "scrapes"],
  ["leechers", "leechers tracked"],
  ["seeders", "seeders tracked"],
  ["bytesRead", "bytes read"],
  ["bytesWritten", "bytes written"],
] as const;
type Counts = Record<(typeof labels)[number][0], number>;

/** What a report has measured at a second of the uptime. */
interface Rates {
  at: number;
  accepted: number;
  requests: number;
  /** Means per second since the report before. */
  connectionRate: number;
  requestRate: number;
}

/** Serves `report?get=...` with the lines of What.CD, or the JSON of Orpheus. */
export class GazelleReports {
  readonly #site: GazelleSite;
  readonly #numbers: () => TrackerNumbers;
  readonly #traffic: () => Promise<TrackerTraffic>;
  #rates: Rates = { at: 0, accepted: 0, requests: 0, connectionRate: 0, requestRate: 0 };

  constructor(site: GazelleSite, numbers: () => TrackerNumbers, traffic: () => Promise<TrackerTraffic>) {
    this.#site = site;
    this.#numbers = numbers;
    this.#traffic = traffic;
  }

  async report(params: ReadonlyMap<string, Buffer>): Promise<RouteResponse> {
    const { version } = await this.#site.tables();
    switch (textOf(params, "get")) {
      case "stats":
        return version === "ops" ? json(await this.#stats()) : lines(await this.#statsLines());
      case "user":
        return this.#user(textOf(params, "key"), version);
      case "torrent":
        return this.#torrent(params.get("info_hash"));
      case "prom_stats":
        return lines(await this.#prometheus(), "");
      case "jemalloc":
        return lines(
          [`the tracker does not use jemalloc; resident memory is ${process.memoryUsage.rss()} bytes`],
          "",
        );
      default:
        return lines(["Invalid action"]);
    }
  }

  async #counts(): Promise<Counts> {
    const { seeders, leechers } = await this.#site.countAll();
    const { accepted, open, announces, refused, scrapes, bytesRead, bytesWritten } = await this.#traffic();
    const requests = announces + scrapes;
    const { connectionRate, requestRate } = this.#measure(accepted, requests);
    return {
      ...{ accepted, open, connectionRate, requests, requestRate },
      ...{ successful: announces - refused, refused, scrapes, leechers, seeders, bytesRead, bytesWritten },
    };
  }

  /** Returns the means per second since the report before, or since the start. */
  #measure(accepted: number, requests: number): Rates {
    const before = this.#rates;
    const at = this.#numbers().uptime;
    const seconds = at - before.at;
    if (seconds < 1) return before;
    const connectionRate = Math.round((accepted - before.accepted) / seconds);
    const requestRate = Math.round((requests - before.requests) / seconds);
    this.#rates = { at, accepted, requests, connectionRate, requestRate };
    return this.#rates;
  }

  async #stats(): Promise<Record<string, Value>> {
    const counts = await this.#counts();
    const { version, uptime, announceInterval, lag } = this.#numbers();
    const labelled = labels.map(([key, label]): [string, Value] => [
      label,
      { type: label.startsWith("bytes") ? "byte" : "number", value: counts[key] },
    ]);
    return {
      uptime: { type: "elapsed", value: uptime },
      version: { type: "version", value: version },
      ...Object.fromEntries(labelled),
      "records to flush": { type: "number", value: lag },
      "resident memory": { type: "byte", value: process.memoryUsage.rss() },
      "announce interval": { type: "number", value: announceInterval },
    };
  }

  async #statsLines(): Promise<string[]> {
    const counts = await this.#counts();
    const { uptime } = this.#numbers();
    const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
    const clock = `${two((uptime % 86400) / 3600)}:${two((uptime % 3600) / 60)}:${two(uptime % 60)}`;
    return [
      `Uptime: ${Math.floor(uptime / 86400)} days, ${clock}`,
      ...labels.map(([key, label]) => `${counts[key]} ${label}`),
    ];
  }

  async #prometheus(): Promise<string[]> {
    const counts = await this.#counts();
    const { uptime, lag } = this.#numbers();
    const values = {
      uptime: Math.floor(uptime),
      open_connections: counts.open,
      connection_rate: counts.connectionRate,
      requests: counts.requests,
      request_rate: counts.requestRate,
      succ_announcements: counts.successful,
      total_announcements: counts.successful + counts.refused,
      scrapes: counts.scrapes,
      leechers: counts.leechers,
      seeders: counts.seeders,
      peer_queue: lag,
      bytes_read: counts.bytesRead,
      bytes_written: counts.bytesWritten,
    };
    return Object.entries(values).map(([name, value]) => `ocelot_${name} ${value}`);
  }

  async #user(passkey: string, version: "whatcd" | "ops"): Promise<RouteResponse> {
    if (passkey === "") return lines(["Invalid action"]);
    const user = this.#site.mirror.users.find(passkey);
    if (user === undefined) return lines([]);
    const { leeching, seeding } = await this.#site.countUser(user.id);
    if (version === "whatcd") return lines([`${leeching} leeching`, `${seeding} seeding`]);
    return json({
      ...{ id: user.id, leeching, seeding, deleted: 0, protected: Number(this.#site.isProtected(user.id)) },
      ...{ can_leech: Number(user.canLeech), traced: Number(this.#site.isTraced(user.id)) },
    });
  }

  async #torrent(infoHash: Uint8Array | undefined): Promise<RouteResponse> {
    const torrent = infoHash?.length === 20 ? await this.#site.findTorrent(infoHash) : undefined;
    return torrent === undefined ? lines(["Invalid action"]) : json(await this.#site.describe(torrent.id));
  }
}

/** The lines of a report, and `success` as the last one. */
function lines(list: readonly string[], end = "success"): RouteResponse {
  return {
    status: 200,
    type: "text/plain",
    body: [...list, end].join("\n"),
    headers: { connection: "close" },
  };
}

/** The site takes what is before the last newline. */
function json(value: unknown): RouteResponse {
  return {
    status: 200,
    type: "application/json",
    body: `${JSON.stringify(value)}\n`,
    headers: { connection: "close" },
  };
}
