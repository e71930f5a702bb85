import { infoHashLength } from "../../bittorrent/info-hash.ts";
import type { StoreStatistics, SwarmKind, SwarmSummary } from "../peer-store.ts";
import type { RedisNode } from "./redis-port.ts";
import { metaLength, pageCapacity, webMetaLength } from "./script.ts";

/** Keys that Redis visits in one step. */
const scanCount = 500;

/** A torrent, with the field `m` of its key. */
export interface TorrentMeta {
  infoHash: Buffer;
  meta: Buffer;
}

/** The counts of the whole store, and the number of its keys. */
export type Totals = Omit<StoreStatistics, "refused"> & { keys: number; peersWeb: number };

/** Lists swarms with peers or snatches, one step of keys at a time. A torrent may come twice. */
export async function* listTorrents(
  nodes: readonly RedisNode[],
  prefix: Buffer,
): AsyncGenerator<SwarmSummary[]> {
  const seen = new Set<string>();
  for await (const torrents of metasOf(nodes, prefix)) {
    yield torrents.flatMap(({ infoHash, meta }) => {
      const name = infoHash.toString("latin1");
      if (seen.has(name)) return [];
      seen.add(name);
      return summarize(infoHash, meta);
    });
  }
}

/** Adds everything up. */
export async function totalsOf(nodes: readonly RedisNode[], prefix: Buffer): Promise<Totals> {
  const sum: Totals = { keys: 0, swarms: 0, seeders: 0, leechers: 0, peers4: 0, peers6: 0, peersWeb: 0 };
  for await (const torrents of metasOf(nodes, prefix)) {
    for (const { infoHash, meta } of torrents) {
      sum.keys++;
      for (const { family, seeders, leechers } of summarize(infoHash, meta)) {
        if (seeders + leechers > 0) sum.swarms++;
        sum.seeders += seeders;
        sum.leechers += leechers;
        sum[family === "web" ? "peersWeb" : (`peers${family}` as const)] += seeders + leechers;
      }
    }
  }
  return sum;
}

/** Whether the field `m` can be that of a torrent, see `script.ts`: other keys are passed over. */
function isReadable(meta: Buffer): boolean {
  const fits = (peersAt: number, pagesAt: number): boolean => {
    const pages = meta.readUInt16BE(pagesAt);
    return pages > 0 && meta.readUInt32BE(peersAt) <= pages * pageCapacity;
  };
  const hasWeb = meta.length === metaLength + webMetaLength;
  return (
    (meta.length === metaLength || hasWeb) &&
    [0, 1, 2, 3].every((table) => fits(8 + 4 * table, 32 + 2 * table)) &&
    (!hasWeb || [0, 1].every((table) => fits(metaLength + 4 * table, metaLength + 12 + 2 * table)))
  );
}

/** What stands in the field `m` of a torrent's key, see `script.ts`. */
function summarize(infoHash: Buffer, meta: Buffer): SwarmSummary[] {
  const snatches = meta.readUInt32BE(0);
  const kinds: readonly SwarmKind[] = meta.length > metaLength ? [4, 6, "web"] : [4, 6];
  const rows = kinds.map((family) => {
    const at = family === 4 ? 8 : family === 6 ? 16 : metaLength;
    return {
      infoHash,
      family,
      seeders: meta.readUInt32BE(at),
      leechers: meta.readUInt32BE(at + 4),
      snatches,
    };
  });
  const withPeers = rows.filter(({ seeders, leechers }) => seeders + leechers > 0);
  return withPeers.length > 0 || snatches === 0 ? withPeers : rows.slice(0, 1);
}

async function* metasOf(nodes: readonly RedisNode[], prefix: Buffer): AsyncGenerator<TorrentMeta[]> {
  for (const node of nodes) {
    let cursor = "0";
    do {
      const { next, torrents } = await scanTorrents(node, prefix, cursor);
      cursor = next;
      yield torrents;
    } while (cursor !== "0");
  }
}

/** One step of `SCAN`. @returns the torrents found, and the cursor of the next step; "0" is the end */
export async function scanTorrents(
  node: RedisNode,
  prefix: Buffer,
  cursor: string,
  count: number = scanCount,
): Promise<{ next: string; torrents: TorrentMeta[] }> {
  const pattern = Buffer.concat([
    Buffer.from(prefix.toString("latin1").replace(/[\\*?[\]]/g, "\\$&"), "latin1"),
    Buffer.from("*"),
  ]);
  const scan = ["SCAN", cursor, "MATCH", pattern, "COUNT", `${count}`, "TYPE", "hash"];
  const [next, keys] = (await node.send(scan)) as [Buffer, Buffer[]];
  const ofTorrents = keys.filter((key) => key.length === prefix.length + infoHashLength);
  const metas = await Promise.all(ofTorrents.map((key) => metaOf(node, key)));
  const torrents = ofTorrents.flatMap((key, i) => {
    const meta = metas[i]!;
    return meta === null ? [] : [{ infoHash: key.subarray(prefix.length), meta }];
  });
  return { next: next.toString(), torrents };
}

/**
 * Reads the field `m` of a torrent's key.
 * @returns null also where the key holds no readable torrent, or is on its way to or from the server
 */
export async function metaOf(from: Pick<RedisNode, "send">, key: Buffer): Promise<Buffer | null> {
  try {
    const meta = (await from.send(["HGET", key, "m"])) as Buffer | null;
    return meta !== null && isReadable(meta) ? meta : null;
  } catch (error) {
    if (/^(MOVED|ASK|WRONGTYPE) /.test((error as Error).message)) return null;
    throw error;
  }
}
