import { compactLength, PeerList } from "../../bittorrent/peer-list.ts";
import { ascii, putBefore, putNumberBefore } from "./byte-writer.ts";

/** Bytes before a body for its head and, in an announce, for the entries before the peers. */
const headRoom = 512;
/** Bytes between the peers of the two families for what names the second: `6:peers6…:`. */
const gap = 16;
/** Bytes of the longest warning or failure reason; a longer one is cut. */
const maxText = 1024;
/** Bytes after the peers, or of a failure. */
const tailRoom = maxText + 128;
/** Bytes of a peer in a list of dictionaries: `d2:ip39:…7:peer id20:…4:porti65535ee`, rounded up. */
const maxPeerEntry = 96;
/** Bytes of a scrape's entry with four counts of ten digits, rounded up. */
const maxScrapeEntry = 144;

/**
 * One reused response buffer: where a store writes peers, and where the response is put together.
 *
 * ```
 *  | head room | peers4 | gap | peers6 | tail room | head room | any body but that of a compact announce |
 *       ^start …… compact announce …… ^end              ^start ………………………………………………………………………………………… ^end
 * ```
 *
 * Heads are written backwards from their bodies, so that of an announce nothing moves but the IPv6 peers, down to
 * the IPv4 ones.
 */
export class ResponseBuffer {
  readonly bytes: Uint8Array;
  /** Its place must stay; its `limit` may be anything up to `maxPeers`. */
  readonly peers4: PeerList;
  readonly peers6: PeerList;
  /** The response is `bytes[start..end)`, valid until the store or a writer gets this buffer again. */
  start = 0;
  end = 0;
  /** Where its head ends and its body begins: all that a HEAD is answered with ends here. */
  headEnd = 0;
  /** Offset of a body that does not consist of compact peers. */
  readonly bodyAt: number;
  /** Room for the order of a scrape's infohashes. */
  readonly order: Uint32Array;

  /**
   * @param maxPeers   peers of each family that may be in an announce's response
   * @param maxScrape  infohashes that may be in a scrape
   */
  constructor(maxPeers: number, maxScrape: number) {
    const at6 = headRoom + maxPeers * compactLength[4] + gap;
    this.bodyAt = at6 + maxPeers * compactLength[6] + tailRoom + headRoom;
    const body = Math.max(2 * maxPeers * maxPeerEntry, maxScrape * maxScrapeEntry) + headRoom + tailRoom;
    this.bytes = new Uint8Array(this.bodyAt + body);
    this.order = new Uint32Array(maxScrape);
    this.peers4 = new PeerList(4, this.bytes);
    this.peers6 = new PeerList(6, this.bytes);
    this.peers4.at = headRoom;
    this.peers6.at = at6;
    this.peers4.limit = this.peers6.limit = maxPeers;
  }
}

/**
 * What the heads of all responses have. Without `no-store` a cache in front (Varnish, nginx) answers the announces of others
 * with the first response, and the tracker never hears of them.
 */
export const commonFields = "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n";
const okHead = `HTTP/1.1 200 OK\r\n${commonFields}Connection: `;
const keepAliveHead = ascii(`${okHead}keep-alive\r\nContent-Length: `);
const closeHead = ascii(`${okHead}close\r\nContent-Length: `);
const headEnd = ascii("\r\n\r\n");

/** Puts the head (status 200) before the body `bytes[body..end)`, and says where the response is. */
export function finishResponse(out: ResponseBuffer, body: number, end: number, keepAlive: boolean): void {
  const { bytes } = out;
  let at = putBefore(bytes, body, headEnd);
  at = putNumberBefore(bytes, at, end - body);
  out.start = putBefore(bytes, at, keepAlive ? keepAliveHead : closeHead);
  out.end = end;
  out.headEnd = body;
}

const encoder = new TextEncoder();
const textBytes = new Uint8Array(maxText);

/** Encodes as UTF-8 what fits into 1,024 bytes, never half a character. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return textBytes.slice(0, encoder.encodeInto(text, textBytes).written);
}
