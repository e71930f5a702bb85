import { toHex } from "../../bittorrent/info-hash.ts";
import type { Address } from "../../ip/address.ts";
import { formatIPv4, formatIPv6 } from "../../ip/address.ts";
import { parseNetwork } from "../../ip/networks.ts";
import { hashKeys, hashWords } from "../../lib/keyed-hash.ts";
import type { ClientNames } from "../../observability/client-names.ts";
import type { PeerRecord, RecordPage } from "../../storage/records.ts";
import type { PeerRow, PeersPage, PeersQuery } from "./swarm-methods.ts";

/** The number of secret words that order peers. */
export const peerOrderKeys: number = hashKeys(4);

/**
 * A place among the peers of a torrent. A step of the store can have more peers than a page: then `after` is the order of the
 * last peer, and `end` the store's cursor of the next step.
 */
interface Place {
  /** The cursor of the step; null for the first. */
  readonly from: string | null;
  readonly end: string | null;
  readonly after: number | null;
}

const start: Place = { from: null, end: null, after: null };

/** Reads a cursor. @returns undefined for any other text */
export function readPlace(cursor: string | undefined): Place | undefined {
  if (cursor === undefined) return start;
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    if (!Array.isArray(place) || place.length !== 3) return undefined;
    const [from, end, after] = place;
    const isCursor = (value: unknown) => value === null || typeof value === "string";
    if (!isCursor(from) || !isCursor(end) || !(after === null || typeof after === "number")) return undefined;
    return { from, end, after };
  } catch {
    return undefined;
  }
}

function writePlace({ from, end, after }: Place): string {
  return Buffer.from(JSON.stringify([from, end, after])).toString("base64url");
}

/**
 * Cuts one page from a step of the store. Peers come in the order of a keyed hash, so the place of one does not depend on the
 * others. If the step covers other peers than for the page before, the step begins anew: a peer may come twice then, and none
 * is left out.
 */
export function cutPage(step: RecordPage, place: Place, query: PeersQuery, names: ClientNames): PeersPage {
  const { keys, limit, isWhole } = query;
  const end = step.next ?? null;
  const after = place.after !== null && place.end === end ? place.after : -1;
  const orders: number[] = [];
  for (const peer of step.peers) {
    const order = orderOf(peer, keys);
    if (order > after) orders.push(order);
  }
  orders.sort((a, b) => a - b);
  // Peers of the same order come together: the cursor could not name a place between them.
  const last = orders[Math.min(limit, orders.length) - 1] ?? after;
  const rows: { order: number; row: PeerRow }[] = [];
  for (const peer of step.peers) {
    const order = orderOf(peer, keys);
    if (order > after && order <= last) rows.push({ order, row: describePeer(peer, isWhole, names) });
  }
  const peers = rows.sort((a, b) => a.order - b.order).map(({ row }) => row);
  if (peers.length < orders.length)
    return { peers, next: writePlace({ from: place.from, end, after: last }) };
  return { peers, next: end === null ? undefined : writePlace({ ...start, from: end }) };
}

function orderOf({ address, port }: PeerRecord, keys: Int32Array): number {
  return hashWords(address.words, 0, address.family === 4 ? 1 : 4, port, keys, 0) >>> 0;
}

function describePeer(peer: PeerRecord, isWhole: boolean, names: ClientNames): PeerRow {
  const { address, port, peerId, seeder, partial, snatched, age } = peer;
  return {
    address: isWhole ? address.toString() : maskAddress(address),
    port: isWhole ? port : undefined,
    peerId: isWhole && peerId !== undefined ? toHex(peerId) : undefined,
    client: peerId && names.identify(peerId),
    seeder,
    partial,
    snatched,
    age: Math.floor(age),
  };
}

/** Returns the network itself if it is no smaller than /24 or /48, or else {@link maskAddress} of its addresses. */
export function maskNetwork(network: string): string {
  const { address, prefix } = parseNetwork(network);
  return prefix <= (address.family === 4 ? 24 : 48) ? network : maskAddress(address);
}

/** Applies {@link maskNetwork} to all texts in a value of a configuration that are networks or addresses. */
export function maskNetworks<Value>(value: Value): Value {
  const mask = (inner: unknown): unknown => {
    if (typeof inner === "string") return isNetwork(inner) ? maskNetwork(inner) : inner;
    if (Array.isArray(inner)) return inner.map(mask);
    if (typeof inner !== "object" || inner === null) return inner;
    return Object.fromEntries(Object.entries(inner).map(([key, item]) => [key, mask(item)]));
  };
  return mask(value) as Value;
}

function isNetwork(text: string): boolean {
  try {
    parseNetwork(text);
    return true;
  } catch {
    return false;
  }
}

/** Returns the network of an address, of a size that names no household: /24 or /48. */
function maskAddress({ family, bytes }: Address): string {
  const masked = bytes.slice();
  masked.fill(0, family === 4 ? 3 : 6);
  return family === 4 ? `${formatIPv4(masked, 0)}/24` : `${formatIPv6(masked, 0)}/48`;
}
