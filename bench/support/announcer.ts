import { AnnounceRequest, AnnounceResponse, Counter } from "../../src/bittorrent/announce.ts";
import { PeerList } from "../../src/bittorrent/peer-list.ts";
import { type PeerStore, Step } from "../../src/storage/peer-store.ts";

/** Share of the peers in hot torrents, as on a large public tracker. */
export const hotShare = 0.73;

/** Returns the number of hot torrents: the first 1.4 %. */
export function hotTorrents(torrents: number): number {
  return Math.max(1, Math.floor(torrents * 0.014));
}

/** Announces any of many peers in any of many torrents; reuses one request object. */
export class Announcer {
  readonly request: AnnounceRequest = new AnnounceRequest();
  readonly response: AnnounceResponse;

  /** @param numWant  number of IPv4 peers that each announce asks for */
  constructor(numWant: number) {
    const bytes = new Uint8Array(6 * numWant + 64);
    this.response = new AnnounceResponse(new PeerList(4, bytes), new PeerList(6, bytes));
    this.response.peers4.limit = numWant;
    this.request.numWant = numWant;
  }

  /** Sets the infohash to that of torrent `index`. */
  torrent(index: number): void {
    const { infoHashWords: words } = this.request;
    for (let i = 0; i < 5; i++) words[i] = Math.imul(index + 1, 0x9e3779b1 + i * 2) ^ (index << i);
  }

  /** Sets address, port and progress to those of peer `index`; one peer in three is a seeder. */
  peer(index: number): void {
    const { request } = this;
    request.address.words[0] = Math.imul(index + 1, 0x85ebca6b);
    request.port = 1024 + (index % 60_000);
    request.counters[2 * Counter.left] = index % 3;
    this.response.reset(1800, 900);
  }

  /** Stores the peer without asking for peers. */
  apply(store: PeerStore): void | Promise<void> {
    return store.announce(this.request, this.response, Step.apply);
  }
}
