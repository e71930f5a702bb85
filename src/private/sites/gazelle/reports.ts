import type { RouteResponse } from "../../../http/routes.ts";
import type { TrackerNumbers } from "../tracker-numbers.ts";
import type { GazelleSite } from "./gazelle-site.ts";
import { textOf } from "./query.ts";

type Value = { type: "byte" | "elapsed" | "number" | "string" | "version"; value: number | string };

/** Serves `report?get=...` with the lines of What.CD, or the JSON of Orpheus. */
export class GazelleReports {
  readonly #site: GazelleSite;
  readonly #numbers: () => TrackerNumbers;

  constructor(site: GazelleSite, numbers: () => TrackerNumbers) {
    this.#site = site;
    this.#numbers = numbers;
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

  async #stats(): Promise<Record<string, Value>> {
    const { version, uptime, announceInterval, announces, lag } = this.#numbers();
    const { seeders, leechers } = await this.#site.countAll();
    const number = (value: number): Value => ({ type: "number", value });
    return {
      uptime: { type: "elapsed", value: uptime },
      version: { type: "version", value: version },
      "successful announcements": number(announces),
      "leechers tracked": number(leechers),
      "seeders tracked": number(seeders),
      "records to flush": number(lag),
      "resident memory": { type: "byte", value: process.memoryUsage.rss() },
      "announce interval": number(announceInterval),
    };
  }

  async #statsLines(): Promise<string[]> {
    const { uptime, announces } = this.#numbers();
    const { seeders, leechers } = await this.#site.countAll();
    const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
    const clock = `${two((uptime % 86400) / 3600)}:${two((uptime % 3600) / 60)}:${two(uptime % 60)}`;
    return [
      `Uptime: ${Math.floor(uptime / 86400)} days, ${clock}`,
      `${announces} successful announcements`,
      `${leechers} leechers tracked`,
      `${seeders} seeders tracked`,
    ];
  }

  async #prometheus(): Promise<string[]> {
    const { uptime, announces, lag } = this.#numbers();
    const { seeders, leechers } = await this.#site.countAll();
    return [
      ...[`ocelot_uptime ${uptime}`, `ocelot_succ_announcements ${announces}`],
      ...[`ocelot_leechers ${leechers}`, `ocelot_seeders ${seeders}`, `ocelot_peer_queue ${lag}`],
    ];
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
