import { infoHashLength } from "../../bittorrent/info-hash.ts";
import type { Address, Family } from "../../ip/address.ts";

/** Bits of a record. */
export const PeerFlag = { seeder: 0x80, completed: 0x40, stopped: 0x20 } as const;

/** Bytes before the records: the id of the tracker, and the type. */
const headLength = 8;
/** Maximum length of a packet, as in opentracker. */
const maxLength = 1452;
/** The type of a packet with peers of a family. */
const types = { 4: 0, 6: 1 } as const;
/** Bytes of a record: infohash, address, port, flags, and an age in minutes. */
const recordLength = { 4: infoHashLength + 8, 6: infoHashLength + 20 } as const;
const addressBytes = { 4: 4, 6: 16 } as const;

/**
 * Collects the records of one family for the next packet.
 *
 * Shape: tracker id u32 | type u32 (0 IPv4, 1 IPv6) | records of infohash 20 B, address 4 or 16 B, port u16, flags u8, age u8.
 */
export class PacketWriter {
  readonly #family: Family;
  readonly #packet: Buffer = Buffer.alloc(maxLength);
  #length = headLength;

  constructor(family: Family, trackerId: number) {
    this.#family = family;
    this.#packet.writeUInt32BE(trackerId, 0);
    this.#packet.writeUInt32BE(types[family], 4);
  }

  get isEmpty(): boolean {
    return this.#length === headLength;
  }

  /** Whether no further record fits. */
  get isFull(): boolean {
    return this.#length + recordLength[this.#family] > maxLength;
  }

  /** Adds a record; not if the packet is full. Never allocates. */
  add(infoHash: Uint8Array, address: Address, port: number, flags: number): void {
    const packet = this.#packet;
    let at = this.#length;
    for (let i = 0; i < infoHashLength; i++) packet[at++] = infoHash[i]!;
    for (let i = 0; i < addressBytes[this.#family]; i++) packet[at++] = address.bytes[i]!;
    packet[at++] = port >> 8;
    packet[at++] = port & 0xff;
    packet[at++] = flags;
    packet[at++] = 0;
    this.#length = at;
  }

  /** Returns a copy of the packet, and begins the next one. */
  take(): Buffer {
    const packet = Buffer.from(this.#packet.subarray(0, this.#length));
    this.#length = headLength;
    return packet;
  }
}

/** One peer of a received packet; reused. */
export interface ReceivedPeer {
  readonly infoHash: Uint8Array;
  readonly address: Address;
  port: number;
  flags: number;
}

/** Why a packet is dropped. */
export type PacketProblem = "malformed" | "type" | "own";

/**
 * Reads a packet, and calls `take` for each record.
 * @param trackerId  the own id: packets with it are dropped
 * @returns why the packet is dropped; then `take` was not called
 */
export function readPacket(
  packet: Uint8Array,
  trackerId: number,
  peer: ReceivedPeer,
  take: (peer: ReceivedPeer) => void,
): PacketProblem | undefined {
  if (packet.length <= headLength) return "malformed";
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (view.getUint32(0) === trackerId) return "own";
  const type = view.getUint32(4);
  if (type !== types[4] && type !== types[6]) return "type";
  const family = type === types[4] ? 4 : 6;
  if ((packet.length - headLength) % recordLength[family] !== 0) return "malformed";
  const { address, infoHash } = peer;
  for (let at = headLength; at < packet.length; ) {
    infoHash.set(packet.subarray(at, at + infoHashLength));
    at += infoHashLength;
    address.set(family, packet, at);
    at += addressBytes[family];
    peer.port = view.getUint16(at);
    peer.flags = view.getUint8(at + 2);
    at += 4;
    take(peer);
  }
  return undefined;
}
