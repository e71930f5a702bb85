import { createCipheriv, createHash } from "node:crypto";
import { encodeBencode } from "../../src/protocol/bencode/encode.ts";

/** A torrent of one file. */
export interface Torrent {
  /** 20 bytes. */
  infoHash: Uint8Array;
  /** The metainfo file. */
  bytes: Uint8Array;
}

/** Bytes of a piece of {@link createTorrent}. */
export const pieceLength: number = 1 << 18;

/** Makes `length` bytes that look random and are the same each time. */
export function createPayload(length: number): Uint8Array {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16, 2));
  return cipher.update(Buffer.alloc(length));
}

/** The SHA-1 digests of a payload's pieces, one after the other (BEP 3). */
export function hashPieces(payload: Uint8Array): Uint8Array {
  const digests: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += pieceLength) {
    digests.push(
      createHash("sha1")
        .update(payload.subarray(at, at + pieceLength))
        .digest(),
    );
  }
  return Buffer.concat(digests);
}

/**
 * Makes a private torrent (BEP 27: its peers come from this tracker alone) of a file called `name`, which makes its
 * infohash its own.
 * @param trackers  one URL or several, which the infohash does not depend on
 */
export function createTorrent(
  name: string,
  trackers: string | readonly string[],
  payload: { length: number; pieces: Uint8Array },
): Torrent {
  const info = {
    length: payload.length,
    name,
    "piece length": pieceLength,
    pieces: payload.pieces,
    private: 1,
  };
  return {
    infoHash: createHash("sha1").update(encodeBencode(info)).digest(),
    bytes: encodeBencode(
      typeof trackers === "string"
        ? { announce: trackers, info }
        : { announce: trackers[0], "announce-list": trackers.map((tracker) => [tracker]), info },
    ),
  };
}
