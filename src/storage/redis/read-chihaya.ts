import { peerIdLength } from "../../bittorrent/info-hash.ts";
import { Address } from "../../ip/address.ts";
import type { PeerRecord } from "../records.ts";
import type { RedisNode } from "./redis-port.ts";

/** Peers in one batch of {@link readChihaya}. */
const batchPeers = 1000;

/** Dependencies of {@link readChihaya} beside Redis. */
export interface ReadOptions {
  /** Returns the present time, the base of ages. */
  unixSeconds(): number;
  /** Called with each key of an unexpected type. */
  onBadKey(key: string): void;
  /** Called for each peer without a time, which is left out. */
  onTimeless(): void;
}

/**
 * Reads the peers that Chihaya's own store has left in Redis, hash by hash in small steps. Changes nothing in Redis.
 * Leaves out fields that are not peers, and keys of another type. A time in the future counts as now.
 *
 *     IPv4, IPv6         hashes: a field for each swarm, which is the name of its key
 *     IPv4_S_<40 hex>    hash of a swarm's seeders (L: leechers): peer -> nanoseconds of its last announce
 *     peer               peer id 20 | port u16 | address 4 or 16
 *
 * Source: Chihaya storage/redis/peer_store.go.
 * @throws Error that names the key, if Redis does not respond
 */
export async function* readChihaya(
  node: RedisNode,
  options: ReadOptions,
): AsyncGenerator<{ peers: PeerRecord[] }> {
  let peers: PeerRecord[] = [];
  for (const group of ["IPv4", "IPv6"]) {
    for await (const [name] of fieldsOf(node, group, options.onBadKey)) {
      const swarm = /^IPv[46]_([SL])_([0-9a-f]{40})$/i.exec(name.toString("latin1"));
      if (!swarm) continue;
      const infoHash = Buffer.from(swarm[2]!, "hex");
      for await (const [peer, time] of fieldsOf(node, name, options.onBadKey)) {
        const record = readPeer(infoHash, peer, swarm[1]!.toUpperCase() === "S");
        if (record === undefined) continue;
        const announced = secondsOf(time);
        if (Number.isNaN(announced)) {
          options.onTimeless();
          continue;
        }
        record.age = Math.max(0, options.unixSeconds() - announced);
        peers.push(record);
        if (peers.length < batchPeers) continue;
        yield { peers };
        peers = [];
      }
    }
  }
  if (peers.length > 0) yield { peers };
}

function secondsOf(time: Buffer): number {
  const text = time.toString("latin1");
  return /^\d{1,19}$/.test(text) ? Math.floor(Number(text) / 1e9) : Number.NaN;
}

/** @returns a record without its age, or undefined if the field is not a peer */
function readPeer(infoHash: Uint8Array, peer: Buffer, seeder: boolean): PeerRecord | undefined {
  const at = peerIdLength + 2;
  const length = peer.length - at;
  if (length !== 4 && length !== 16) return undefined;
  const peerId = peer.subarray(0, peerIdLength);
  const port = peer.readUInt16BE(peerIdLength);
  const address = new Address();
  address.set(length === 4 ? 4 : 6, peer, at);
  if (port === 0 || !address.isUsable()) return undefined;
  return { infoHash, address, port, peerId, seeder, partial: false, snatched: false, age: 0 };
}

/** Yields the fields of a hash. A field of a hash that changes meanwhile may come twice. */
async function* fieldsOf(
  node: RedisNode,
  key: string | Buffer,
  onBadKey: (key: string) => void,
): AsyncGenerator<[Buffer, Buffer]> {
  let cursor = "0";
  do {
    let reply: unknown;
    try {
      reply = await node.send(["HSCAN", key, cursor, "COUNT", "500"]);
    } catch (error) {
      const { message } = error as Error;
      if (message.startsWith("WRONGTYPE")) return onBadKey(key.toString("latin1"));
      throw new Error(`cannot read the key ${key.toString("latin1")}: ${message}`, { cause: error });
    }
    const [next, items] = reply as [Buffer, Buffer[]];
    cursor = next.toString();
    for (let i = 0; i < items.length; i += 2) yield [items[i]!, items[i + 1]!];
  } while (cursor !== "0");
}
