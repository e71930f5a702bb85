import { compactLength, PeerList } from "../../bittorrent/peer-list.ts";
import type { Address } from "../../ip/address.ts";

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Copies peers between lists of one family with separate bytes. */
export function copyPeers(from: PeerList, index: number, count: number, to: PeerList, toIndex: number): void {
  const length = compactLength[from.family];
  const source = from.view;
  const target = to.view;
  let at = from.at + index * length;
  let toAt = to.at + toIndex * length;
  const end = at + count * length;
  for (; at + 4 <= end; at += 4, toAt += 4) target.setInt32(toAt, source.getInt32(at, true), true);
  if (at < end) target.setInt16(toAt, source.getInt16(at, true), true); // lengths are even
}

/** Reads the address of the peer at `index` of a list. */
export function readAddress({ view, family, at }: PeerList, index: number, to: Address): void {
  const from = at + index * compactLength[family];
  const { words } = to;
  to.family = family;
  words[0] = view.getInt32(from, littleEndian);
  words[1] = family === 4 ? 0 : view.getInt32(from + 4, littleEndian);
  words[2] = family === 4 ? 0 : view.getInt32(from + 8, littleEndian);
  words[3] = family === 4 ? 0 : view.getInt32(from + 12, littleEndian);
}

/** Random words that {@link hashPeer} takes. */
export const peerHashKeys = 3;

/**
 * Hashes the last bytes of the address, and the port, of the peer that ends before `end`: these bytes differ most. While
 * the keys are secret, any two peers collide for at most 2 of 1,024 keys, as with {@link hashWords}.
 * @param keys  {@link peerHashKeys} words
 * @returns 10 bits
 */
export function hashPeer(view: DataView, end: number, keys: Int32Array): number {
  return (
    (Math.imul(view.getUint16(end - 6), keys[0]!) +
      Math.imul(view.getUint16(end - 4), keys[1]!) +
      Math.imul(view.getUint16(end - 2), keys[2]!)) >>>
    22
  );
}

/** Returns whether the peer at `index` of one list is among the first `count` of another list of its family. */
export function isAmong(from: PeerList, index: number, list: PeerList, count: number): boolean {
  const length = compactLength[from.family];
  const { view } = list;
  const first = from.at + index * length;
  const end = from.view.getInt32(first + length - 4, true); // these bytes differ most
  for (let i = 0, at = list.at; i < count; i++, at += length) {
    if (view.getInt32(at + length - 4, true) !== end) continue;
    let same = 0;
    while (same < length - 4 && from.bytes[first + same] === list.bytes[at + same]) same++;
    if (same === length - 4) return true;
  }
  return false;
}

/** Returns whether the peer at `index` of a list has this address and port. */
export function isPeer(list: PeerList, index: number, address: Address, port: number): boolean {
  const length = compactLength[list.family];
  const from = list.at + index * length;
  for (let i = 0; i < length - 2; i++) if (list.bytes[from + i] !== address.bytes[i]) return false;
  return list.view.getUint16(from + length - 2) === port;
}

/** Creates a list with room for `count` peers. */
export function createList(family: 4 | 6, count: number): PeerList {
  return new PeerList(family, new Uint8Array(count * compactLength[family]));
}

/** Returns how many peers fit into a list made by {@link createList}. */
export function roomOf(list: PeerList): number {
  return list.bytes.length / compactLength[list.family];
}
