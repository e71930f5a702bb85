import { compactLength } from "../bittorrent/peer-list.ts";
import { type Family, formatIPv4, formatIPv6 } from "../ip/address.ts";
import type { ReturnedPeer } from "./exchange.ts";

/**
 * Reads compact peers (BEP 23, BEP 7, BEP 15). Each has an address of 4 or 16 bytes and a port of 2 bytes.
 * @returns undefined if the length is not a multiple of the length of a peer
 */
export function compactPeers(bytes: Uint8Array, family: Family): ReturnedPeer[] | undefined {
  const stride = compactLength[family];
  if (bytes.length % stride !== 0) return undefined;
  const peers: ReturnedPeer[] = [];
  for (let at = 0; at < bytes.length; at += stride) {
    const portAt = at + stride - 2;
    peers.push({
      ip: family === 4 ? formatIPv4(bytes, at) : formatIPv6(bytes, at),
      port: (bytes[portAt]! << 8) | bytes[portAt + 1]!,
    });
  }
  return peers;
}
