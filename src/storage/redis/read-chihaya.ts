import { AnnounceRequest } from "../../bittorrent/announce.ts";
import { peerIdLength } from "../../bittorrent/info-hash.ts";
import type { RedisNode } from "./redis-port.ts";

/** A peer as an announce of the past; `request` is reused for the next. */
export interface PastAnnounce {
  request: AnnounceRequest;
  unixSeconds: number;
}

/**
 * Reads the peers that Chihaya's own store has left in Redis, hash by hash in small steps, and changes nothing there.
 * What is no peer is left out.
 *
 *     IPv4, IPv6         hashes: a field for each swarm, which is the name of its key
 *     IPv4_S_<40 hex>    hash of a swarm's seeders (L: leechers): peer -> nanoseconds of its last announce
 *     peer               peer id 20 | port u16 | address 4 or 16
 *
 * Source: Chihaya storage/redis/peer_store.go.
 */
export async function* readChihaya(node: RedisNode): AsyncGenerator<PastAnnounce> {
  const request = new AnnounceRequest();
  for (const group of ["IPv4", "IPv6"]) {
    for await (const [name] of fieldsOf(node, group)) {
      const swarm = /^IPv[46]_([SL])_([0-9a-f]{40})$/i.exec(name.toString("latin1"));
      if (!swarm) continue;
      request.infoHash.set(Buffer.from(swarm[2]!, "hex"));
      request.left = swarm[1] === "S" ? 0n : 1n;
      for await (const [peer, time] of fieldsOf(node, name)) {
        if (readPeer(peer, request)) yield { request, unixSeconds: Math.floor(Number(time) / 1e9) };
      }
    }
  }
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
async function* fieldsOf(node: RedisNode, key: string | Buffer): AsyncGenerator<[Buffer, Buffer]> {
  let cursor = "0";
  do {
    const reply = await node.send(["HSCAN", key, cursor, "COUNT", "500"]);
    const [next, items] = reply as [Buffer, Buffer[]];
    cursor = next.toString();
    for (let i = 0; i < items.length; i += 2) yield [items[i]!, items[i + 1]!];
  } while (cursor !== "0");
}
