import { AnnounceEvent } from "../../bittorrent/event.ts";
import { compactLength } from "../../bittorrent/peer-list.ts";
import type { Address, Family } from "../../ip/address.ts";
import { Action, announceHeadLength, announceLength, connectMagic, requestHeadLength } from "./packet.ts";

/** The content of an announce that a client sends. */
export interface AnnouncePacket {
  /** `announceIPv6` for the form of older opentrackers; default `announce`. */
  action?: typeof Action.announce | typeof Action.announceIPv6;
  connectionId: bigint;
  transactionId: number;
  /** 20 bytes. */
  infoHash: Uint8Array;
  /** 20 bytes. */
  peerId: Uint8Array;
  downloaded?: bigint;
  left?: bigint;
  uploaded?: bigint;
  event?: number;
  /** The address field; default zeros, which means the packet's source address. */
  address?: Address;
  key?: number;
  /** Default -1: the tracker decides. */
  numWant?: number;
  port: number;
  /** Path and query of the tracker's URL, sent as URL data (BEP 41), one byte a character. */
  urlData?: string;
}

/** A tracker's response. */
export type UdpResponse =
  | { action: "connect"; transactionId: number; connectionId: bigint }
  | {
      action: "announce";
      transactionId: number;
      interval: number;
      leechers: number;
      seeders: number;
      /** Compact peers. */
      peers: Uint8Array;
    }
  | {
      action: "scrape";
      transactionId: number;
      rows: { seeders: number; completed: number; leechers: number }[];
    }
  | { action: "error"; transactionId: number; message: string };

function createRequest(
  length: number,
  connectionId: bigint,
  action: number,
  transactionId: number,
): DataView {
  const view = new DataView(new ArrayBuffer(length));
  view.setBigUint64(0, connectionId);
  view.setUint32(8, action);
  view.setUint32(12, transactionId);
  return view;
}

/** Creates a connect request (BEP 15): 16 bytes. */
export function createConnectRequest(transactionId: number): Uint8Array {
  const magic = (BigInt(connectMagic.high) << 32n) | BigInt(connectMagic.low);
  return new Uint8Array(createRequest(requestHeadLength, magic, Action.connect, transactionId).buffer);
}

/** Creates an announce request (BEP 15, BEP 41); its layout is described at `parseAnnounce`. */
export function createAnnounceRequest(packet: AnnouncePacket): Uint8Array {
  const action = packet.action ?? Action.announce;
  const head = announceLength[action];
  const url = packet.urlData ?? "";
  const options = url.length + 2 * Math.ceil(url.length / 255);
  const view = createRequest(head + options, packet.connectionId, action, packet.transactionId);
  const bytes = new Uint8Array(view.buffer);
  bytes.set(packet.infoHash, 16);
  bytes.set(packet.peerId, 36);
  view.setBigUint64(56, packet.downloaded ?? 0n);
  view.setBigUint64(64, packet.left ?? 0n);
  view.setBigUint64(72, packet.uploaded ?? 0n);
  view.setUint32(80, packet.event ?? AnnounceEvent.none);
  if (packet.address) writeAddress(bytes, action, packet.address);
  view.setUint32(head - 10, packet.key ?? 0);
  view.setInt32(head - 6, packet.numWant ?? -1);
  view.setUint16(head - 2, packet.port);
  let at = head;
  for (let start = 0; start < url.length; start += 255) {
    const part = url.slice(start, start + 255);
    bytes[at++] = 2;
    bytes[at++] = part.length;
    for (let i = 0; i < part.length; i++) bytes[at++] = part.charCodeAt(i);
  }
  return bytes;
}

/** Fills the address field; a field of 16 bytes holds an IPv4 address in its IPv4-mapped form. */
function writeAddress(bytes: Uint8Array, action: number, address: Address): void {
  if (action === Action.announceIPv6 && address.family === 4) {
    bytes.fill(0xff, 94, 96);
    bytes.set(address.bytes.subarray(0, 4), 96);
  } else {
    bytes.set(address.bytes.subarray(0, action === Action.announce ? 4 : 16), 84);
  }
}

/** Creates a scrape request (BEP 15). @param infoHashes  20 bytes each, at most 74 */
export function createScrapeRequest(
  connectionId: bigint,
  transactionId: number,
  infoHashes: readonly Uint8Array[],
): Uint8Array {
  const length = requestHeadLength + 20 * infoHashes.length;
  const bytes = new Uint8Array(createRequest(length, connectionId, Action.scrape, transactionId).buffer);
  for (const [i, infoHash] of infoHashes.entries()) bytes.set(infoHash, requestHeadLength + 20 * i);
  return bytes;
}

/**
 * Parses a response (BEP 15).
 * @param family  the family of the tracker's address, which decides the length of a peer
 * @returns undefined if `bytes` is not a response. The peers point into `bytes`.
 */
export function parseResponse(bytes: Uint8Array, family: Family): UdpResponse | undefined {
  if (bytes.length < 8) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const transactionId = view.getUint32(4);
  switch (view.getUint32(0)) {
    case Action.connect:
      if (bytes.length < 16) return undefined;
      return { action: "connect", transactionId, connectionId: view.getBigUint64(8) };
    case Action.announce:
    case Action.announceIPv6: {
      if (bytes.length < announceHeadLength) return undefined;
      if ((bytes.length - announceHeadLength) % compactLength[family] !== 0) return undefined;
      return {
        action: "announce",
        transactionId,
        interval: view.getUint32(8),
        leechers: view.getUint32(12),
        seeders: view.getUint32(16),
        peers: bytes.subarray(announceHeadLength),
      };
    }
    case Action.scrape: {
      const rows = [];
      for (let at = 8; at + 12 <= bytes.length; at += 12) {
        rows.push({
          seeders: view.getUint32(at),
          completed: view.getUint32(at + 4),
          leechers: view.getUint32(at + 8),
        });
      }
      return { action: "scrape", transactionId, rows };
    }
    case Action.error: {
      const message = new TextDecoder().decode(bytes.subarray(8)).replace(/\0+$/, "");
      return { action: "error", transactionId, message };
    }
    default:
      return undefined;
  }
}
