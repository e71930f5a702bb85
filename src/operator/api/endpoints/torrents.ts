import { parseAnyInfoHash } from "../../../bittorrent/info-hash.ts";
import type { Clock } from "../../../lib/clock.ts";
import { drawKeys } from "../../../lib/keyed-hash.ts";
import { choice, integer, list as listOption, options, text } from "../../../options/index.ts";
import { type TorrentCounts, unpackTorrents } from "../../swarms/packed-torrents.ts";
import { peerOrderKeys } from "../../swarms/peer-page.ts";
import type { PeerRow, SwarmMethods, TopPosition } from "../../swarms/swarm-methods.ts";
import { type Endpoint, endpoint } from "../endpoint.ts";
import { Problem, refuse } from "../problem.ts";
import { boolean, count, list, nullable, number, object, optional, type Shape, string } from "../shape.ts";
import { mostListed, TopLists } from "../top-list.ts";

/** What the endpoints about torrents need. */
export interface TorrentDeps {
  readonly clock: Clock;
  readonly swarms: SwarmMethods;
}

/** Infohashes that fit into a URL. */
const mostInUrl = 100;

/** A torrent in a response. */
interface Torrent {
  readonly info_hash: string;
  readonly peers: number;
  readonly seeders: number;
  readonly leechers: number;
  readonly partial: number;
  readonly completed: number;
  readonly peers_ipv4: number;
  readonly peers_ipv6: number;
  readonly peers_web: number;
}

const torrentShape: Shape<Torrent> = object({
  info_hash: string("40 hexadecimal digits."),
  peers: count("Seeders and leechers."),
  seeders: count(),
  leechers: count(),
  partial: count("Leechers that have paused (BEP 21)."),
  completed: count("Completed downloads."),
  peers_ipv4: count(),
  peers_ipv6: count(),
  peers_web: count(),
});

/** A peer in a response. */
interface Peer {
  readonly address: string;
  readonly port?: number | undefined;
  readonly peer_id?: string | undefined;
  readonly client: string | null;
  readonly seeder: boolean;
  readonly partial: boolean;
  readonly snatched: boolean;
  readonly age_seconds: number;
}

const peerShape: Shape<Peer> = object({
  address: string("The address; without the scope `peers:read` its network, /24 or /48."),
  port: optional(count("Only with the scope `peers:read`.")),
  peer_id: optional(
    string("In hexadecimal. Only with the scope `peers:read`, and if the store keeps peer ids."),
  ),
  client: nullable(string("The client software, by the peer id; null if the store does not keep peer ids.")),
  seeder: boolean(),
  partial: boolean("A leecher that has paused (BEP 21)."),
  snatched: boolean("The peer has completed the torrent, as far as the store remembers."),
  age_seconds: number("Since the last announce."),
});

const cursorOption = text().default("").describe("`next` of the previous page.");
const next = nullable(string("The `cursor` of the next page; null after the last."));

/** Makes `/torrents` and what is below it. */
export function torrentEndpoints({ clock, swarms }: TorrentDeps): Endpoint[] {
  const lists = new TopLists(swarms, clock);
  const keys = drawKeys(peerOrderKeys);
  return [
    endpoint({
      method: "GET",
      path: "/torrents",
      scope: "read",
      summary: "Torrents, those with the largest counts first",
      query: options({
        sort: choice(["peers", "seeders", "leechers", "completed"])
          .default("peers")
          .describe("The count to sort by."),
        limit: integer(1, mostListed).default("100").describe("The most torrents of a page."),
        cursor: cursorOption,
        info_hash: listOption()
          .default("")
          .describe(
            "A whole infohash, in hexadecimal or base32, or its first hexadecimal digits. " +
              `Up to ${mostInUrl} whole infohashes; \`/torrents/query\` takes more.`,
          ),
        min_peers: integer(0, 2 ** 31)
          .default("0")
          .describe("The fewest peers of a torrent."),
      }),
      response: object({
        torrents: list(torrentShape),
        next,
        age_seconds: number("Since the torrents were counted, 10 at most."),
      }),
      problems: [501, 503],
      async handle({ query: { sort, limit, cursor, infoHash: given, minPeers } }) {
        const order = sort === "completed" ? "snatches" : sort;
        const after = cursor === "" ? undefined : readCursor(cursor, sort);
        const [first = "", ...more] = given;
        if (more.length > 0 || parseAnyInfoHash(first) !== undefined) {
          const found = await findAll(swarms, "?info_hash", given, mostInUrl);
          return { torrents: found.filter(({ peers }) => peers >= minPeers), next: null, age_seconds: 0 };
        }
        if (!/^[\da-f]{0,39}$/i.test(first)) throw badInfoHash("?info_hash", first);
        const prefix = first.toLowerCase();
        const page = await ask(lists.read({ order, minPeers, prefix, after, limit }));
        return {
          torrents: page.torrents.map(describe),
          next: page.next === undefined ? null : `${sort}.${page.next.value}.${page.next.infoHash}`,
          age_seconds: page.age,
        };
      },
    }),
    endpoint({
      method: "POST",
      path: "/torrents/query",
      scope: "read",
      summary: "Torrents by their infohashes, at once",
      body: options({
        info_hashes: listOption().describe(`Up to ${mostListed} infohashes, in hexadecimal or base32.`),
      }),
      response: object({
        torrents: list(torrentShape, "In the order of the request, without unknown torrents."),
      }),
      problems: [501, 503],
      handle: async ({ body: { infoHashes } }) => ({
        torrents: await findAll(swarms, "/info_hashes", infoHashes, mostListed),
      }),
    }),
    endpoint({
      method: "GET",
      path: "/torrents/{info_hash}",
      scope: "read",
      summary: "One torrent",
      response: torrentShape,
      problems: [501, 503],
      handle: async ({ params }) => describe(await findOne(swarms, readParameter(params))),
    }),
    endpoint({
      method: "DELETE",
      path: "/torrents/{info_hash}",
      scope: "write",
      summary: "Remove a torrent with its peers and snatches; peers that announce again return",
      response: torrentShape,
      problems: [501, 503],
      async handle({ params, audit }) {
        const infoHash = readParameter(params);
        const before = describe(await findOne(swarms, infoHash));
        await ask(swarms.remove(infoHash));
        audit({ removed: before });
        return before;
      },
    }),
    endpoint({
      method: "GET",
      path: "/torrents/{info_hash}/peers",
      scope: "read",
      summary: "The peers of one torrent",
      query: options({
        limit: integer(1, 1000).default("100").describe("The most peers of a page."),
        cursor: cursorOption,
      }),
      response: object({ peers: list(peerShape), next }),
      problems: [501, 503],
      async handle({ params, query: { limit, cursor }, principal }) {
        const infoHash = readParameter(params);
        if (cursor === "") await findOne(swarms, infoHash);
        const isWhole = principal.scopes.has("peers:read");
        const page = await ask(
          swarms.peers({ infoHash, cursor: cursor === "" ? undefined : cursor, limit, isWhole, keys }),
        );
        return { peers: page.peers.map(describePeer), next: page.next ?? null };
      },
    }),
  ];
}

/** Finds torrents by whole infohashes. @param at  where the infohashes are in the request */
async function findAll(
  swarms: SwarmMethods,
  at: string,
  given: readonly string[],
  most: number,
): Promise<Torrent[]> {
  if (given.length > most) throw refuse(at, `at most ${most} infohashes at once, got ${given.length}`);
  const infoHashes = given.map((one, i) => readInfoHash(at.startsWith("/") ? `${at}/${i}` : at, one));
  return unpackTorrents(await ask(swarms.find(infoHashes))).map(describe);
}

async function findOne(swarms: SwarmMethods, infoHash: Uint8Array): Promise<TorrentCounts> {
  const [found] = unpackTorrents(await ask(swarms.find([infoHash])));
  if (found === undefined) throw new Problem(404, "no peer has announced this torrent");
  return found;
}

/** Reads the infohash in a path. @throws Problem */
export function readParameter({ info_hash: given }: Readonly<Record<string, string>>): Uint8Array {
  return readInfoHash("{info_hash}", given!);
}

function readInfoHash(at: string, given: string): Uint8Array {
  const infoHash = parseAnyInfoHash(given);
  if (infoHash === undefined) throw badInfoHash(at, given);
  return infoHash;
}

function badInfoHash(at: string, given: string): Problem {
  const expected =
    at === "?info_hash"
      ? "40 hexadecimal digits or fewer, or 32 of base32"
      : "40 hexadecimal digits, 32 of base32, or the 64 of a version 2 hash";
  return refuse(at, `expected an infohash: ${expected}; got ${given.length} characters`);
}

/** Reads `sort.count.infohash`. */
function readCursor(cursor: string, order: string): TopPosition {
  const [, of, value, infoHash] = /^([a-z]+)\.(\d{1,10})\.([\da-f]{40})$/.exec(cursor) ?? [];
  if (of !== order || infoHash === undefined) throw badCursor();
  return { value: Number(value), infoHash };
}

function badCursor(): Problem {
  return refuse("?cursor", "not a cursor of this list; begin without one");
}

const unavailable: ReadonlySet<unknown> = new Set([
  "storage-unavailable",
  "overloaded",
  "gone",
  "busy",
  "timeout",
]);

/** Waits for the store, and turns its errors into problems. */
export async function ask<T>(result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    const { code, message } = error as Error & { code?: unknown };
    if (code === "bad-cursor") throw badCursor();
    if (code === "unsupported") throw new Problem(501, message);
    if (unavailable.has(code)) throw new Problem(503, `the store does not respond: ${message}`);
    throw error;
  }
}

function describe({ infoHash, peers4, peers6, peersWeb, snatches, ...counts }: TorrentCounts): Torrent {
  return {
    info_hash: infoHash,
    peers: peers4 + peers6 + peersWeb,
    ...counts,
    completed: snatches,
    peers_ipv4: peers4,
    peers_ipv6: peers6,
    peers_web: peersWeb,
  };
}

function describePeer({ port, peerId, client, age, ...peer }: PeerRow): Peer {
  return {
    ...peer,
    ...(port !== undefined && { port }),
    ...(peerId !== undefined && { peer_id: peerId }),
    client: client ?? null,
    age_seconds: age,
  };
}
