import type { Address, Family } from "../ip/address.ts";

/** Bytes of a compact peer: address and port in network order (BEP 23, BEP 7). */
export const compactLength = { 4: 6, 6: 18 } as const;

/**
 * A place for compact peers of one family inside a response: the frontend sets the place and the limit, the store
 * writes the peers.
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
  /** The number of peers that may be written; 0 if this family is not wanted. The bytes for them are free. */
  limit = 0;
  /** The number of peers written. */
  count = 0;
  /**
   * The number of seeders at the beginning of the list. 0 if the store does not say, or if a hook has rebuilt the list.
   * Exact if the announce was applied.
   */
  seeders = 0;
  /** Room for the peer ids, 20 bytes each in the order of the peers; undefined if the caller does not want them. */
  peerIds: Uint8Array | undefined;
  /** The store sets this after it has written `peerIds`. */
  hasPeerIds = false;

  constructor(family: Family, bytes: Uint8Array) {
    this.family = family;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Removes a peer from the list, if present; keeps the order of the others. */
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
