import type { Address } from "../../bittorrent/address.ts";
import type { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { PeerList } from "../../bittorrent/peer-list.ts";
import type { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";

/** The statuses that are answered without bencode. */
export type PlainStatus = 400 | 404 | 405 | 408 | 431 | 500 | 503 | 505;

/** One reused response buffer: where a store writes peers and where the response is put together. */
export class ResponseBuffer {
  readonly bytes: Uint8Array;
  readonly peers4: PeerList;
  readonly peers6: PeerList;
  /** The response is `bytes[start..end)`, valid until the next one is written. */
  start = 0;
  end = 0;

  /**
   * @param maxPeers   peers of each family that may be in a response
   * @param maxScrape  infohashes that may be in a scrape
   */
  constructor(maxPeers: number, maxScrape: number) {
    this.bytes = new Uint8Array(4096 + maxPeers * 220 + maxScrape * 128);
    this.peers4 = new PeerList(4, this.bytes);
    this.peers6 = new PeerList(6, this.bytes);
    this.peers4.limit = this.peers6.limit = maxPeers;
  }
}

export function writeAnnounceResponse(
  _out: ResponseBuffer,
  _request: AnnounceRequest,
  _response: AnnounceResponse,
  _keepAlive: boolean,
  _noPeerId: boolean,
  _externalIp: Address | undefined,
): void {}

export function writeScrapeResponse(
  _out: ResponseBuffer,
  _request: ScrapeRequest,
  _response: ScrapeResponse,
  _keepAlive: boolean,
): void {}

export function writeFailure(_out: ResponseBuffer, _error: ClientError, _keepAlive: boolean): void {}

export function writeStatus(_out: ResponseBuffer, _status: PlainStatus, _keepAlive: boolean): void {}
