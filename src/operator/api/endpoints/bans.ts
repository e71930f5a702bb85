import { toHex } from "../../../bittorrent/info-hash.ts";
import { Address } from "../../../ip/address.ts";
import type { Clock } from "../../../lib/clock.ts";
import { unprintable } from "../../../lib/legible.ts";
import { formatTime, parseEnd } from "../../../lib/time.ts";
import { maxBans } from "../../../middleware/bans/ban-memory.ts";
import { type Block, blocks, choice, integer, options, text } from "../../../options/index.ts";
import { type AdminState, canonicalNetwork } from "../../state/admin-state.ts";
import { type BanEntry, type BanList, networksAround } from "../../state/ban-list.ts";
import { maskNetwork } from "../../swarms/peer-page.ts";
import type { SwarmMethods } from "../../swarms/swarm-methods.ts";
import { type Endpoint, type EndpointCall, endpoint } from "../endpoint.ts";
import { Problem, refuse } from "../problem.ts";
import { boolean, count, list, nullable, object, optional, type Shape, string } from "../shape.ts";
import { readParameter } from "./torrents.ts";

/** What the endpoints of bans need. */
export interface BanDeps {
  readonly clock: Clock;
  readonly state: AdminState;
  readonly swarms: SwarmMethods;
  onError(error: Error): void;
}

/** A ban as the API shows it. */
export interface BanView {
  readonly network?: string | undefined;
  readonly info_hash?: string | undefined;
  readonly until: string | null;
  readonly reason: string;
  readonly since: string;
  readonly by: string;
}

const maxReason = 500;

function checkReason(reason: string): string | undefined {
  if (reason.length > maxReason) return `expected at most ${maxReason} characters, got ${reason.length}`;
  const isPlain = reason.search(unprintable) < 0 && reason.isWellFormed();
  return isPlain ? undefined : "expected text without control characters";
}

/** The most bans of one request. */
const maxAtOnce = 10_000;

/** What a ban says besides its target. */
const banFields = {
  until: text()
    .default("")
    .describe('When the ban ends: a time of RFC 3339, or a duration from now such as "24h"; "" for never.'),
  reason: text({ check: checkReason })
    .default("")
    .describe(`Why, for operators: up to ${maxReason} characters.`),
};
const banBody: Block<{ until: string; reason: string }, unknown> = options(banFields);

const banShape: Shape<BanView> = object({
  network: optional(string("In CIDR notation, of a ban of addresses.")),
  info_hash: optional(string("40 hexadecimal digits, of a ban of a torrent.")),
  until: nullable(string("When the ban ends; null if it does not.")),
  reason: string(),
  since: string("When the ban was made."),
  by: string("The name of the token that made the ban."),
});

const persisted = boolean("Whether the change is in `admin.state`, and so outlives the process.");

/** Makes the endpoints of bans. */
export function banEndpoints(deps: BanDeps): Endpoint[] {
  /** Adds or changes a ban, in all workers. */
  async function ban(
    bans: BanList,
    target: string,
    call: EndpointCall<unknown, { until: string; reason: string }>,
  ) {
    const { clock, state } = deps;
    const before = bans.get(target);
    if (before === undefined && bans.isFull)
      throw new Problem(409, `there are ${maxBans} bans already; remove some`);
    const { unixSeconds: now } = clock;
    const until = readEnd("/until", call.body.until, now);
    const by = call.principal.name;
    const entry = bans.set(target, { until, reason: call.body.reason, since: before?.since ?? now, by });
    const isKept = await state.commit(bans);
    const view = viewOf(bans === state.networks, entry);
    call.audit({ ban: view, before: before && viewOf(bans === state.networks, before), persisted: isKept });
    return { ban: view, persisted: isKept };
  }

  async function lift(bans: BanList, target: string, call: EndpointCall<unknown, unknown>) {
    const { state } = deps;
    const before = bans.get(target);
    if (before === undefined) throw new Problem(404, "there is no such ban");
    bans.delete(target);
    const isKept = await state.commit(bans);
    call.audit({ lifted: viewOf(bans === state.networks, before), persisted: isKept });
    return { persisted: isKept };
  }

  function find(bans: BanList, target: string): BanView {
    const found = bans.get(target);
    if (found === undefined) throw new Problem(404, "there is no such ban");
    // The request names the target, so the response reveals no address.
    return viewOf(bans === deps.state.networks, found);
  }

  const bannedShape = object({ ban: banShape, persisted });
  return [
    endpoint({
      method: "GET",
      path: "/bans",
      scope: "read",
      summary: "The bans, the oldest first; without the scope peers:read, networks are cut to /24 and /48",
      query: options({
        kind: choice(["network", "torrent"]).default("network").describe("Which bans."),
        address: text().default("").describe("Only bans of networks that contain this address."),
        limit: integer(1, 1000).default("100").describe("The most bans of one response."),
        cursor: integer(0, Number.MAX_SAFE_INTEGER)
          .default("0")
          .describe("Where to continue: `next` of the previous response."),
      }),
      response: object({
        total: count("Bans of this kind, or those of the address."),
        bans: list(banShape),
        next: nullable(count("The cursor of the next response; null if there are no more bans.")),
      }),
      handle({ query: { kind, address, limit, cursor }, principal }) {
        const { networks, torrents } = deps.state;
        const view = principal.scopes.has("peers:read") ? viewOf : maskedView;
        if (address !== "") {
          const found = [...networksAround(readAddress(address))].flatMap(
            (target) => networks.get(target) ?? [],
          );
          return { total: found.length, bans: found.map((entry) => view(true, entry)), next: null };
        }
        const bans = kind === "network" ? networks : torrents;
        const page: BanEntry[] = [];
        let hasMore = false;
        for (const entry of bans.values()) {
          if (entry.number <= cursor) continue;
          hasMore = page.length === limit;
          if (hasMore) break;
          page.push(entry);
        }
        return {
          total: bans.size,
          bans: page.map((entry) => view(bans === networks, entry)),
          next: hasMore ? page.at(-1)!.number : null,
        };
      },
    }),
    endpoint({
      method: "POST",
      path: "/bans",
      scope: "write",
      summary: `Ban up to ${maxAtOnce} networks at once`,
      body: options({
        bans: blocks(options({ network: text().describe("An address, or CIDR notation."), ...banFields }), {
          minimum: 1,
          maximum: maxAtOnce,
          name: "ban",
        }),
      }),
      response: object({ banned: count("Networks that were banned, or whose ban was changed."), persisted }),
      problems: [409],
      async handle({ body, principal, audit }) {
        const { state, clock } = deps;
        const { networks } = state;
        const { unixSeconds: now } = clock;
        const bans = new Map<string, { until: number | undefined; reason: string }>();
        for (const [n, { network, until, reason }] of body.bans.entries()) {
          const read = canonicalNetwork(network);
          if ("problem" in read) throw refuse(`/bans/${n}/network`, read.problem);
          bans.set(read.network, { until: readEnd(`/bans/${n}/until`, until, now), reason });
        }
        if (networks.size + bans.size > maxBans)
          throw new Problem(409, `there is room for ${maxBans} bans, and there are ${networks.size}`);
        for (const [network, ban] of bans)
          networks.set(network, { ...ban, since: networks.get(network)?.since ?? now, by: principal.name });
        const isKept = await state.commit(networks);
        audit({ banned: bans.size, first: [...bans.keys()].slice(0, 10), persisted: isKept });
        return { banned: bans.size, persisted: isKept };
      },
    }),
    endpoint({
      method: "GET",
      path: "/bans/{network}",
      scope: "read",
      summary: "One ban of a network",
      response: banShape,
      handle: ({ params }) => find(deps.state.networks, readNetwork(params)),
    }),
    endpoint({
      method: "PUT",
      path: "/bans/{network}",
      scope: "write",
      summary: "Ban an address, or a network in CIDR notation with %2F for the slash",
      body: banBody,
      response: bannedShape,
      problems: [409],
      handle: (call) => ban(deps.state.networks, readNetwork(call.params), call),
    }),
    endpoint({
      method: "DELETE",
      path: "/bans/{network}",
      scope: "write",
      summary: "Lift the ban of a network",
      response: object({ persisted }),
      handle: (call) => lift(deps.state.networks, readNetwork(call.params), call),
    }),
    endpoint({
      method: "GET",
      path: "/torrents/{info_hash}/ban",
      scope: "read",
      summary: "The ban of a torrent",
      response: banShape,
      handle: ({ params }) => find(deps.state.torrents, toHex(readParameter(params))),
    }),
    endpoint({
      method: "PUT",
      path: "/torrents/{info_hash}/ban",
      scope: "write",
      summary: "Ban a torrent, and remove its peers",
      body: banBody,
      response: object({
        ban: banShape,
        persisted,
        removed: boolean("Whether the store has removed the peers; if not, they expire."),
      }),
      problems: [409],
      async handle(call) {
        const infoHash = readParameter(call.params);
        const banned = await ban(deps.state.torrents, toHex(infoHash), call);
        let removed = true;
        // All workers refuse the torrent by now, so no announce brings a peer back.
        await deps.swarms.remove(infoHash).catch((error: Error) => {
          removed = false;
          deps.onError(error);
        });
        return { ...banned, removed };
      },
    }),
    endpoint({
      method: "DELETE",
      path: "/torrents/{info_hash}/ban",
      scope: "write",
      summary: "Lift the ban of a torrent",
      response: object({ persisted }),
      handle: (call) => lift(deps.state.torrents, toHex(readParameter(call.params)), call),
    }),
  ];
}

function viewOf(isNetwork: boolean, { target, until, reason, since, by }: BanEntry): BanView {
  return {
    ...(isNetwork ? { network: target } : { info_hash: target }),
    until: until === undefined ? null : formatTime(until),
    reason,
    since: formatTime(since),
    by,
  };
}

/** Hides whole addresses, as in lists of peers. */
function maskedView(isNetwork: boolean, entry: BanEntry): BanView {
  if (!isNetwork) return viewOf(false, entry);
  return viewOf(true, { ...entry, target: maskNetwork(entry.target) });
}

function readNetwork({ network = "" }: Readonly<Record<string, string>>): string {
  const read = canonicalNetwork(network);
  if ("problem" in read) throw refuse("{network}", read.problem);
  return read.network;
}

function readAddress(given: string): Address {
  try {
    return Address.parse(given);
  } catch (error) {
    throw refuse("?address", (error as Error).message);
  }
}

/** @returns seconds since 1970, or undefined for never */
export function readEnd(at: string, until: string, now: number): number | undefined {
  if (until === "") return undefined;
  const end = parseEnd(until, now);
  if (end === undefined)
    throw refuse(at, 'expected a time such as "2026-12-31T00:00:00Z", or a duration such as "24h"');
  if (end <= now) throw refuse(at, "expected a time to come");
  return end;
}
