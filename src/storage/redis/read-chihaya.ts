import { AnnounceRequest } from "../../bittorrent/announce.ts";
import { peerIdLength } from "../../bittorrent/info-hash.ts";
import type { RedisNode } from "./redis-port.ts";

/** A peer as an announce of the past; `request` is reused for the next. */
export interface PastAnnounce {
  request: AnnounceRequest;
  /** NaN where Chihaya's key holds no time. */
  unixSeconds: number;
}

/**
 * Reads the peers that Chihaya's own store has left in Redis, hash by hash in small steps, and changes nothing there.
 * What is no peer is left out, and so is a key of another type.
 *
 *     IPv4, IPv6         hashes: a field for each swarm, which is the name of its key
 *     IPv4_S_<40 hex>    hash of a swarm's seeders (L: leechers): peer -> nanoseconds of its last announce
 *     peer               peer id 20 | port u16 | address 4 or 16
 *
 * Source: Chihaya storage/redis/peer_store.go.
 * @param onBadKey  hears of each key that cannot be read for its type
 * @throws Error that names the key, where Redis does not answer
 */
export async function* readChihaya(
  node: RedisNode,
  onBadKey: (key: string) => void,
): AsyncGenerator<PastAnnounce> {
  const request = new AnnounceRequest();
  for (const group of ["IPv4", "IPv6"]) {
    for await (const [name] of fieldsOf(node, group, onBadKey)) {
      const swarm = /^IPv[46]_([SL])_([0-9a-f]{40})$/i.exec(name.toString("latin1"));
      if (!swarm) continue;
      request.infoHash.set(Buffer.from(swarm[2]!, "hex"));
      request.left = swarm[1] === "S" ? 0n : 1n;
      for await (const [peer, time] of fieldsOf(node, name, onBadKey)) {
        if (readPeer(peer, request)) yield { request, unixSeconds: secondsOf(time) };
      }
    }
  }
}

function secondsOf(time: Buffer): number {
  const text = time.toString("latin1");
  return /^\d{1,19}$/.test(text) ? Math.floor(Number(text) / 1e9) : Number.NaN;
}

function readPeer(peer: Buffer, request: AnnounceRequest): boolean {
  const at = peerIdLength + 2;
  const length = peer.length - at;
  if (length !== 4 && length !== 16) return false;
  request.peerId.set(peer.subarray(0, peerIdLength));
  request.port = peer.readUInt16BE(peerIdLength);
  request.address.set(length === 4 ? 4 : 6, peer, at);
  return request.port > 0 && request.address.isUsable();
}

/** The fields of a hash; one that is written to meanwhile may come twice. */
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
