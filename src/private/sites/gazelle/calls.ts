import type { Route, RouteRequest, RouteResponse } from "../../../http/routes.ts";
import type { Logger } from "../../../observability/logger.ts";
import { passkeyLength } from "../../directory-records.ts";
import { isPasskey } from "../../passkey.ts";
import { clientKey, grantKey, hexOf } from "../mirror.ts";
import type { Secret } from "../site-listener.ts";
import { factorsOf, type GazelleSite } from "./gazelle-site.ts";
import { type Params, parseQuery, textOf } from "./query.ts";
import { deletedTorrent } from "./refusals.ts";
import type { GazelleReports } from "./reports.ts";

/** A call that cannot be carried out; the message is for the site's staff. */
class CallError extends Error {}

/** The collaborators of the calls. */
export interface GazelleCallsDeps {
  site: GazelleSite;
  reports: GazelleReports;
  secret: Secret;
  reportSecret: Secret | undefined;
  logger: Logger;
}

/**
 * Serves the calls of Gazelle: `/SECRET/update?action=...` and `/REPORT_SECRET/report?get=...`. A call that has worked is answered with the body
 * `success` and nothing else, because What.CD compares the last line. Any other response makes the site repeat the call.
 */
export class GazelleCalls {
  readonly #deps: GazelleCallsDeps;

  constructor(deps: GazelleCallsDeps) {
    this.#deps = deps;
  }

  routes(): Route[] {
    return [{ path: "/*", handle: (request) => this.handle(request) }];
  }

  /** Serves a call. */
  async handle({ target }: Pick<RouteRequest, "target">): Promise<RouteResponse> {
    const { secret, reportSecret, reports, logger } = this.#deps;
    const [, given = "", name = "", query = ""] = /^\/([^/?]*)\/([^?]*)(?:\?(.*))?$/s.exec(target) ?? [];
    const isUpdate = name === "update";
    if (!isUpdate && name !== "report") return text(404, "Invalid action");
    if (!(isUpdate ? secret.is(given) : reportSecret?.is(given))) {
      logger.warn({ call: name }, "a call with a wrong secret");
      return text(403, "Authentication failure");
    }
    const params = parseQuery(query);
    try {
      if (!isUpdate) return await reports.report(params);
      const action = textOf(params, "action");
      const act = this.#actions[action];
      if (act === undefined || !Object.hasOwn(this.#actions, action)) throw new CallError("unknown action");
      const body = await act(params);
      return text(200, body ?? "success");
    } catch (error) {
      const { message } = error as Error;
      logger.warn(
        { call: textOf(params, isUpdate ? "action" : "get"), err: error },
        `a call of the site failed: ${message}`,
      );
      return text(error instanceof CallError ? 400 : 503, `failure: ${message.replaceAll("\n", " ")}`);
    }
  }

  readonly #actions: Readonly<Record<string, (params: Params) => Promise<string | undefined>>> = {
    add_torrent: async (params) => {
      const [id, infoHash] = [numberOf(params, "id"), infoHashOf(params)];
      this.#steer((change, now, { torrents }) =>
        torrents.put(
          change,
          { id, infoHashes: [infoHash], ...factorsOf(textOf(params, "freetorrent")) },
          now,
        ),
      );
      return undefined;
    },
    update_torrent: async (params) => {
      await this.#setFactors([infoHashOf(params)], textOf(params, "freetorrent"));
      return undefined;
    },
    update_torrents: async (params) => {
      const all = bytesOf(params, "info_hashes");
      if (all.length === 0 || all.length % 20 !== 0)
        throw new CallError("info_hashes: expected 20 bytes each");
      const infoHashes = Array.from({ length: all.length / 20 }, (_, i) => all.subarray(20 * i, 20 * i + 20));
      await this.#setFactors(infoHashes, textOf(params, "freetorrent"));
      return undefined;
    },
    delete_torrent: async (params) => {
      const infoHash = infoHashOf(params);
      const reason = params.has("reason") ? Number(textOf(params, "reason")) : -1;
      const { site } = this.#deps;
      this.#steer((change, now, { torrents }) => {
        const torrent = torrents.find(hexOf(infoHash));
        if (torrent === undefined) return;
        site.noteDeleted(torrent.id, now);
        torrents.put(change, { ...torrent, refusal: deletedTorrent(reason) }, now);
      });
      return undefined;
    },
    add_token: async (params) => {
      const { site } = this.#deps;
      const user = numberOf(params, "userid");
      const torrent = await site.findTorrent(infoHashOf(params));
      if (torrent === undefined) throw new CallError("unknown torrent");
      if (!(await site.hasUser(user))) throw new CallError("unknown user");
      this.#steer((change, now, { grants }) =>
        grants.put(change, { user, torrent: torrent.id, down: 0 }, now),
      );
      return undefined;
    },
    remove_token: async (params) => {
      const user = numberOf(params, "userid");
      const torrent = await this.#deps.site.findTorrent(infoHashOf(params));
      if (torrent !== undefined)
        this.#steer((change, now, { grants }) =>
          grants.remove(change, grantKey({ user, torrent: torrent.id }), now),
        );
      return undefined;
    },
    add_user: async (params) => {
      const [id, passkey] = [numberOf(params, "id"), passkeyOf(params, "passkey")];
      const { site } = this.#deps;
      if (params.has("visible")) site.setProtected(id, textOf(params, "visible") === "0");
      this.#steer((change, now, { users }) => {
        const canLeech = users.get(id)?.canLeech ?? true;
        users.put(change, { id, passkey, isEnabled: true, canLeech, isHidden: false }, now);
      });
      return undefined;
    },
    remove_user: async (params) => {
      this.#removeUsers([passkeyOf(params, "passkey")]);
      return undefined;
    },
    remove_users: async (params) => {
      const all = textOf(params, "passkeys");
      if (all.length === 0 || all.length % passkeyLength !== 0)
        throw new CallError(`passkeys: expected ${passkeyLength} characters each`);
      this.#removeUsers(
        Array.from({ length: all.length / passkeyLength }, (_, i) =>
          all.slice(passkeyLength * i, passkeyLength * (i + 1)),
        ),
      );
      return undefined;
    },
    update_user: async (params) => {
      const passkey = passkeyOf(params, "passkey");
      const { site } = this.#deps;
      const known = site.mirror.users.find(passkey);
      if (known === undefined) site.compareSoon();
      else {
        if (params.has("visible")) site.setProtected(known.id, textOf(params, "visible") === "0");
        const canLeech = params.has("can_leech") ? textOf(params, "can_leech") !== "0" : known.canLeech;
        this.#steer((change, now, { users }) => users.put(change, { ...known, canLeech }, now));
      }
      return undefined;
    },
    change_passkey: async (params) => {
      const [old, next] = [passkeyOf(params, "oldpasskey"), passkeyOf(params, "newpasskey")];
      const { site } = this.#deps;
      const known = site.mirror.users.find(old);
      if (known === undefined) {
        if (site.mirror.users.find(next) === undefined) site.compareSoon();
      } else this.#steer((change, now, { users }) => users.put(change, { ...known, passkey: next }, now));
      return undefined;
    },
    add_whitelist: async (params) => {
      const prefix = prefixOf(params, "peer_id");
      this.#steer((change, now, { clients }) => clients.put(change, { prefix, isAllowed: true }, now));
      return undefined;
    },
    remove_whitelist: async (params) => {
      const prefix = prefixOf(params, "peer_id");
      this.#steer((change, now, { clients }) => clients.remove(change, clientKey(prefix), now));
      return undefined;
    },
    edit_whitelist: async (params) => {
      const [old, next] = [prefixOf(params, "old_peer_id"), prefixOf(params, "new_peer_id")];
      this.#steer((change, now, { clients }) => {
        if (!old.equals(next)) clients.remove(change, clientKey(old), now);
        clients.put(change, { prefix: next, isAllowed: true }, now);
      });
      return undefined;
    },
    trace_user: async (params) => {
      const { site } = this.#deps;
      const user = site.mirror.users.find(passkeyOf(params, "passkey"));
      if (user === undefined) throw new CallError("unknown user");
      site.setTraced(user.id, textOf(params, "trace") === "1");
      return undefined;
    },
    info_torrent: async (params) => {
      const infoHash = infoHashOf(params);
      const torrent = await this.#deps.site.findTorrent(infoHash);
      if (torrent === undefined) throw new CallError("unknown torrent");
      return `${JSON.stringify({ hash: hexOf(infoHash), id: torrent.id, free: torrent.down === 0 })}\n`;
    },
    update_announce_interval: async () => {
      throw new CallError("set announce_interval in the configuration of the tracker, and reload it");
    },
    update_announce_jitter: async () => {
      throw new CallError(
        'set the hook "interval variation" in the configuration of the tracker, and reload it',
      );
    },
  };

  async #setFactors(infoHashes: readonly Uint8Array[], freeTorrent: string): Promise<void> {
    const { site } = this.#deps;
    const found = await Promise.all(infoHashes.map((infoHash) => site.findTorrent(infoHash)));
    this.#steer((change, now, { torrents }) => {
      for (const torrent of found)
        if (torrent !== undefined) torrents.put(change, { ...torrent, ...factorsOf(freeTorrent) }, now);
    });
  }

  #removeUsers(passkeys: readonly string[]): void {
    this.#steer((change, now, { users }) => {
      for (const passkey of passkeys) {
        const user = users.find(passkey);
        if (user !== undefined) users.remove(change, user.id, now);
      }
    });
  }

  #steer(make: Parameters<GazelleSite["steer"]>[0]): void {
    this.#deps.site.steer(make);
  }
}

/** Creates a response whose body is exactly `body`. */
function text(status: 200 | 400 | 403 | 404 | 503, body: string): RouteResponse {
  return { status, type: "text/plain", body, headers: { connection: "close" } };
}

function bytesOf(params: Params, name: string): Buffer {
  const value = params.get(name);
  if (value === undefined) throw new CallError(`${name} is missing`);
  return value;
}

function numberOf(params: Params, name: string): number {
  const value = bytesOf(params, name).toString("latin1");
  const number = Number(value);
  if (!/^\d{1,10}$/.test(value) || number < 1 || number > 0xffff_ffff)
    throw new CallError(`${name}: expected an id from 1 to 4294967295`);
  return number;
}

function infoHashOf(params: Params): Buffer {
  const value = bytesOf(params, "info_hash");
  if (value.length !== 20) throw new CallError("info_hash: expected 20 bytes");
  return value;
}

function passkeyOf(params: Params, name: string): string {
  const value = bytesOf(params, name).toString("latin1");
  if (!isPasskey(value)) throw new CallError(`${name}: expected ${passkeyLength} letters and digits`);
  return value;
}

function prefixOf(params: Params, name: string): Buffer {
  const value = bytesOf(params, name);
  // An empty prefix would match every client.
  if (value.length < 1 || value.length > 20) throw new CallError(`${name}: expected 1 to 20 bytes`);
  return value;
}
