import type { Address, Family } from "../ip/address.ts";

/** Bytes of a compact peer: address and port in network order (BEP 23, BEP 7). */
export const compactLength = { 4: 6, 6: 18 } as const;

/**
 * A place for compact peers of one family inside somebody's response bytes: the frontend says where and how
 * many, the store writes them there.
 *
 * Shape: peer `i` is `compactLength[family]` bytes at `at + i * compactLength[family]`.
 */
export class PeerList {
  readonly family: Family;
  bytes: Uint8Array;
  /** A view of exactly the bytes in `bytes`. */
  view: DataView;
  /** Offset of the first peer. */
  at = 0;
  /** Peers that may be written, 0 for none of this family. The bytes for them are free. */
  limit = 0;
  /** Peers that were written. */
  count = 0;
  /** How many seeders the list begins with; 0 where the store, or a hook that has made the list anew, does not say. Exact where the announce was applied. */
  seeders = 0;
  /** Where the caller wants their peer ids too, 20 bytes each in the same order; otherwise undefined. */
  peerIds: Uint8Array | undefined;
  /** Set by a store that has written `peerIds`. */
  hasPeerIds = false;

  constructor(family: Family, bytes: Uint8Array) {
    this.family = family;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Takes a peer out of the list, if it is there; the order of the others stays. */
  remove(address: Address, port: number): void {
    const length = compactLength[this.family];
    for (let i = 0, at = this.at; i < this.count; i++, at += length) {
      let same = 0;
      while (same < length - 2 && this.bytes[at + same] === address.bytes[same]) same++;
      if (same < length - 2 || this.view.getUint16(at + length - 2) !== port) continue;
      this.bytes.copyWithin(at, at + length, this.at + this.count * length);
      this.peerIds?.copyWithin(20 * i, 20 * (i + 1), 20 * this.count);
      this.count--;
      if (i < this.seeders) this.seeders--;
      return;
    }
  }
}
