import { compactLength, PeerList } from "../../bittorrent/peer-list.ts";
import { ascii, putBefore, putNumberBefore } from "./byte-writer.ts";

/** Bytes in front of a body, for the head and, in an announce, the entries before the peers. */
const headRoom = 512;
/** Bytes between the peers of the two families, for the name of the second list: `6:peers6…:`. */
const gap = 16;
/** Bytes of the longest warning or failure reason; a longer one is cut. */
const maxText = 1024;
/** Bytes behind the peers, or of a failure. */
const tailRoom = maxText + 128;
/** Bytes of a peer in a list of dictionaries, rounded up: `d2:ip39:…7:peer id20:…4:porti65535ee`. */
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
  /** The place of the list never changes; `limit` may be anything up to `maxPeers`. */
  readonly peers4: PeerList;
  readonly peers6: PeerList;
  /** The response is `bytes[start..end)`, valid until a store or a writer uses this buffer again. */
  start = 0;
  end = 0;
  /** The end of the head and start of the body. The response to a HEAD request ends here. */
  headEnd = 0;
  /** Offset of any body without compact peers. */
  readonly bodyAt: number;
  /** Room for sorting the infohashes of a scrape. */
  readonly order: Uint32Array;

  /**
   * @param maxPeers   maximum peers of each family in an announce response
   * @param maxScrape  maximum infohashes in a scrape
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
 * Header fields of every response. Without `no-store`, a cache in front (Varnish, nginx) would serve the first response
 * to later announces, which would never reach the tracker.
 */
export const commonFields = "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n";
const okHead = `HTTP/1.1 200 OK\r\n${commonFields}Connection: `;
const keepAliveHead = ascii(`${okHead}keep-alive\r\nContent-Length: `);
const closeHead = ascii(`${okHead}close\r\nContent-Length: `);
const headEnd = ascii("\r\n\r\n");

/** Writes the head (status 200) in front of the body `bytes[body..end)`, and sets the bounds of the response. */
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

/** Encodes the first 1,024 bytes of a text as UTF-8, never half a character. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return textBytes.slice(0, encoder.encodeInto(text, textBytes).written);
}
