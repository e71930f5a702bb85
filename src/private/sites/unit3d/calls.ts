import { HttpError } from "../../../http/http-error.ts";
import type { Route, RouteRequest, RouteResponse } from "../../../http/routes.ts";
import type { Logger } from "../../../observability/logger.ts";
import { isPasskey } from "../../passkey.ts";
import type { Change, Mirror } from "../mirror.ts";
import { hexOf } from "../mirror.ts";
import type { Secret } from "../site-listener.ts";
import type { TrackerNumbers } from "../tracker-numbers.ts";
import { Rates } from "./rates.ts";
import { torrentRefusal } from "./refusals.ts";
import type { Unit3dSite } from "./unit3d-site.ts";

/** Maximum length of a body in bytes. */
const maxBody = 64 * 1024;
/** Names of the statuses of torrents, by UNIT3D's numbers. */
const statuses = ["Pending", "Approved", "Rejected", "Postponed"];

type Body = Readonly<Record<string, unknown>>;
type Steer = (change: Change, now: number, mirror: Mirror) => void;

/** The collaborators of the calls. */
export interface Unit3dCallsDeps {
  site: Unit3dSite;
  secret: Secret;
  logger: Logger;
  numbers(): TrackerNumbers;
}

/**
 * Serves the calls of UNIT3D: `/announce/KEY/torrents` and others, as UNIT3D-Announce does. A call that has worked is answered with status 200,
 * because UNIT3D takes any other status for a failure, and repeats the call.
 */
export class Unit3dCalls {
  readonly #deps: Unit3dCallsDeps;
  readonly #rates: Rates;
  readonly #startedAt: number;

  constructor(deps: Unit3dCallsDeps) {
    this.#deps = deps;
    this.#startedAt = deps.site.now;
    this.#rates = new Rates();
  }

  routes(): Route[] {
    const methods = ["GET", "PUT", "DELETE"] as const;
    return [{ path: "/*", methods, maxBody, handle: (request) => this.#handle(request) }];
  }

  /** Notes the numbers of this second, for the rates. */
  sample(): void {
    this.#rates.note(this.#deps.site.now, this.#deps.numbers().announces);
  }

  async #handle(request: RouteRequest): Promise<RouteResponse> {
    const { logger, secret } = this.#deps;
    if (request.path === "/announce/health/ping") return json("{}");
    const [, key = "", resource = "", id = ""] =
      /^\/announce\/([^/]+)\/([a-z-]+)(?:\/(\d{1,10}))?\/?$/.exec(request.path) ?? [];
    if (!secret.is(key)) {
      logger.warn({ call: resource }, "a call with a wrong secret");
      return json("{}", 404);
    }
    try {
      if (request.method === "GET" || request.method === "HEAD")
        return await this.#show(resource, Number(id));
      const name = `${request.method} ${resource}`;
      const act = Object.hasOwn(this.#actions, name) ? this.#actions[name] : undefined;
      if (act === undefined) return json("{}", 404);
      await act(parseBody(await request.body.bytes()));
      return json("{}");
    } catch (error) {
      const { message } = error as Error;
      logger.warn(
        { call: `${request.method} ${resource}`, err: error },
        `a call of the site failed: ${message}`,
      );
      return json(JSON.stringify({ error: message }), error instanceof HttpError ? 400 : 503);
    }
  }

  readonly #actions: Readonly<Record<string, (body: Body) => void | Promise<void>>> = {
    "PUT torrents": (body) => {
      const torrent = {
        ...{ id: idOf(body, "id"), infoHashes: [infoHashOf(body)] },
        ...{ up: integerOf(body, "upload_factor"), down: integerOf(body, "download_factor") },
        refusal: torrentRefusal(integerOf(body, "status"), isTrue(body.is_deleted)),
      };
      this.#steer((change, now, { torrents }) => torrents.put(change, torrent, now));
    },
    "DELETE torrents": (body) => {
      const id = idOf(body, "id");
      this.#steer((change, now, { torrents }) => {
        const torrent = torrents.get(id);
        if (torrent !== undefined)
          torrents.put(change, { ...torrent, refusal: torrentRefusal(1, true) }, now);
      });
    },
    "PUT users": (body) => {
      const { site } = this.#deps;
      const passkey = passkeyOf(body, "passkey");
      const user = {
        ...{ id: idOf(body, "id"), group: integerOf(body, "group_id") },
        passkey: (body.new_passkey ?? null) === null ? passkey : passkeyOf(body, "new_passkey"),
        canDownload: isTrue(body.can_download),
        isDonor: body.is_donor === undefined ? undefined : isTrue(body.is_donor),
      };
      this.#steer((change, now) => site.putUser(change, user, now));
    },
    "DELETE users": (body) => {
      const id = idOf(body, "id");
      this.#steer((change, now) => this.#deps.site.removeUser(change, id, now));
    },
    "PUT groups": (body) => {
      const group = {
        ...{ id: idOf(body, "id"), slug: String(body.slug ?? "") },
        slots: (body.download_slots ?? null) === null ? undefined : integerOf(body, "download_slots"),
        ...{ isImmune: isTrue(body.is_immune), isFreeleech: isTrue(body.is_freeleech) },
        isDoubleUpload: isTrue(body.is_double_upload),
      };
      this.#steer((change, now) => this.#deps.site.putGroup(change, group, now));
    },
    "DELETE groups": (body) => {
      const id = idOf(body, "id");
      this.#steer((change, now) => this.#deps.site.removeGroup(change, id, now));
    },
    // The site sends the client's name in the place of the prefix, so the prefixes are read from its table.
    "PUT blacklisted-agents": () => this.#readBlacklist(),
    "DELETE blacklisted-agents": () => this.#readBlacklist(),
    "PUT freeleech-tokens": (body) => {
      const grant = { user: idOf(body, "user_id"), torrent: idOf(body, "torrent_id"), down: 0 };
      this.#steer((change, now, { grants }) => grants.put(change, grant, now));
    },
    "PUT personal-freeleech": (body) => this.#setPersonal(body, true),
    "DELETE personal-freeleech": (body) => this.#setPersonal(body, false),
    "PUT featured-torrents": (body) => this.#setFeatured(body, true),
    "DELETE featured-torrents": (body) => this.#setFeatured(body, false),
  };

  #setPersonal(body: Body, hasIt: boolean): void {
    const user = idOf(body, "user_id");
    this.#steer((change, now) => this.#deps.site.setPersonalFreeleech(change, user, hasIt, now));
  }

  #setFeatured(body: Body, isFeatured: boolean): void {
    const torrent = idOf(body, "torrent_id");
    this.#steer((change, now) => this.#deps.site.setFeatured(change, torrent, isFeatured, now));
  }

  async #readBlacklist(): Promise<void> {
    const { site } = this.#deps;
    await site.rereadBlacklist();
  }

  #steer(make: Steer): void {
    this.#deps.site.steer(make);
  }

  async #show(resource: string, id: number): Promise<RouteResponse> {
    if (resource === "stats") return json(this.#stats());
    if (resource === "torrents") return this.#torrent(id);
    if (resource === "users") return this.#user(id);
    return json("{}", 404);
  }

  /** UNIT3D shows the numbers only if all of them are floats. */
  #stats(): string {
    this.sample();
    const { now } = this.#deps.site;
    const rates = ["requests", "announce_responses"].flatMap((name) =>
      [1, 10, 60, 900, 7200].map((window) => [`${name}_per_${window}s`, this.#rates.over(window)] as const),
    );
    const numbers = [
      ...[["created_at", this.#startedAt] as const, ["last_request_at", now] as const],
      ...[["last_announce_response_at", now] as const, ...rates],
    ];
    return `{${numbers.map(([name, value]) => `"${name}":${float(value)}`).join(",")}}`;
  }

  async #torrent(id: number): Promise<RouteResponse> {
    const { site } = this.#deps;
    const torrent = site.mirror.torrents.get(id);
    if (torrent === undefined) return json("{}", 404);
    const rows = await site.peersOf(id);
    const peers = rows.map((row) => [
      `${row.user_id}-${hexOf(row.peer_id as Buffer)}`,
      {
        ...{
          ip_address: String(row.ip),
          user_id: Number(row.user_id),
          torrent_id: id,
          port: Number(row.port),
        },
        ...{ is_seeder: Number(row.seeder) === 1, is_active: Number(row.active) === 1, is_visible: true },
        ...{ is_connectable: true, updated_at: Number(row.updated_at) },
        ...{ uploaded: Number(row.uploaded), downloaded: Number(row.downloaded) },
      },
    ]);
    const active = rows.filter((row) => Number(row.active) === 1);
    const seeders = active.filter((row) => Number(row.seeder) === 1).length;
    const status = statuses.findIndex(
      (_, number) => torrentRefusal(number, false) === (torrent.refusal ?? 0),
    );
    return json(
      JSON.stringify({
        ...{
          id,
          status: statuses[status] ?? "Unknown",
          is_deleted: torrent.refusal === torrentRefusal(1, true),
        },
        ...{ peers: Object.fromEntries(peers), seeders, leechers: active.length - seeders },
        times_completed: await site.completionsOf(id),
        ...{ download_factor: torrent.down ?? 100, upload_factor: torrent.up ?? 100 },
      }),
    );
  }

  async #user(id: number): Promise<RouteResponse> {
    const { site } = this.#deps;
    const user = site.mirror.users.get(id);
    if (user === undefined) return json("{}", 404);
    const { seeding, leeching } = await site.countUser(id);
    return json(
      JSON.stringify({
        ...{ id, group_id: user.group ?? 0, passkey: user.passkey, can_download: user.canLeech },
        ...{ num_seeding: seeding, num_leeching: leeching, is_donor: site.isDonor(id), is_lifetime: false },
        ...{ receive_seed_list_rates: { rates: [] }, receive_leech_list_rates: { rates: [] } },
      }),
    );
  }
}

/** Writes a number so that PHP reads a float. */
function float(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : `${value}`;
}

function json(body: string, status: 200 | 400 | 404 | 503 = 200): RouteResponse {
  return { status, type: "application/json", body };
}

function parseBody(bytes: Uint8Array): Body {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Body;
  } catch {
    // as any other body
  }
  throw new HttpError(400, "expected an object of JSON");
}

function integerOf(body: Body, name: string): number {
  const value = Number(body[name]);
  if (!Number.isInteger(value) || value < 0 || value > 65_534 || body[name] === null || body[name] === "")
    throw new HttpError(400, `${name}: expected an integer from 0 to 65534`);
  return value;
}

function idOf(body: Body, name: string): number {
  const value = Number(body[name]);
  if (!Number.isInteger(value) || value < 1 || value > 0xffff_ffff)
    throw new HttpError(400, `${name}: expected an id from 1 to 4294967295`);
  return value;
}

function isTrue(value: unknown): boolean {
  return value === true || value === 1 || value === "1";
}

function infoHashOf(body: Body): Buffer {
  const text = String(body.info_hash ?? "");
  if (!/^[\da-f]{40}$/i.test(text)) throw new HttpError(400, "info_hash: expected 40 hexadecimal digits");
  return Buffer.from(text, "hex");
}

function passkeyOf(body: Body, name: string): string {
  const text = String(body[name] ?? "");
  if (!isPasskey(text)) throw new HttpError(400, `${name}: expected 32 letters and digits`);
  return text;
}
