import { setImmediate, setTimeout } from "node:timers/promises";
import { ClientNames } from "../../observability/client-names.ts";
import type { PeerStore } from "../../storage/peer-store.ts";
import { type Records, walk } from "../../storage/records.ts";
import { ClientSampler } from "./client-sample.ts";
import { type PackedTorrents, packTorrents } from "./packed-torrents.ts";
import { cutPage, readPlace } from "./peer-page.ts";
import type { ClientSample, PeersPage, PeersQuery, SwarmMethods, TopQuery } from "./swarm-methods.ts";
import { TopTorrents } from "./top-torrents.ts";

/**
 * Milliseconds between two steps of a pass, which take about as long. A busy thread has announces to serve meanwhile: without
 * a pause, a pass would take all the time that they leave.
 */
const pauseMs = 1;

/** Does what `SwarmMethods` describes, over the store of this thread. */
export class SwarmReader implements SwarmMethods {
  readonly #store: PeerStore;
  readonly #names = new ClientNames();

  constructor(store: PeerStore) {
    this.#store = store;
  }

  find(infoHashes: readonly Uint8Array[]): Promise<PackedTorrents> {
    return this.#ask(async () => packTorrents(await this.#records.find(infoHashes), infoHashes.length));
  }

  /** @param signal  ends the pass */
  top(queries: readonly TopQuery[], signal?: AbortSignal): Promise<PackedTorrents[]> {
    return this.#ask(async () => {
      const tops = queries.map((query) => new TopTorrents(query));
      for await (const { torrents } of walk((cursor) => this.#records.torrents(cursor))) {
        signal?.throwIfAborted();
        for (const torrent of torrents) for (const top of tops) top.add(torrent);
        for (const top of tops) {
          if (!top.isFull) continue;
          await setImmediate(); // the lists of one search fill at the same time
          top.cut();
        }
        await setTimeout(pauseMs);
      }
      const lists: PackedTorrents[] = [];
      for (const top of tops) {
        await setImmediate(); // the sorting of each list is a step of its own
        lists.push(top.finish());
      }
      return lists;
    });
  }

  peers(query: PeersQuery): Promise<PeersPage> {
    return this.#ask(async () => {
      const place = readPlace(query.cursor);
      if (place === undefined) throw new RangeError("not a cursor of this API");
      const step = await this.#records.peers(query.infoHash, place.from ?? undefined);
      return cutPage(step, place, query, this.#names);
    });
  }

  sampleClients(peers: number, signal?: AbortSignal): Promise<ClientSample> {
    return this.#ask(async () => {
      const sampler = new ClientSampler(this.#names);
      if (!this.#store.keepsPeerIds) return { ...sampler.finish(), known: false };
      for await (const page of walk((cursor) => this.#records.export(cursor))) {
        signal?.throwIfAborted();
        for (const { peerId } of page.peers) if (peerId !== undefined) sampler.add(peerId);
        if (sampler.peers >= peers) break;
        await setTimeout(pauseMs);
      }
      return sampler.finish();
    });
  }

  remove(infoHash: Uint8Array): Promise<void> {
    return this.#ask(async () => this.#store.remove(infoHash));
  }

  get #records(): Records {
    const { records } = this.#store;
    if (records === undefined) throw withCode("the store has no records to list", "unsupported");
    return records;
  }

  /** Runs a request to the store, and names the reason of a failure by a code. */
  async #ask<T>(request: () => Promise<T>): Promise<T> {
    const { readiness } = this.#store;
    if (readiness !== undefined && readiness !== true) throw withCode(readiness, "storage-unavailable");
    try {
      return await request();
    } catch (error) {
      const { message } = error as Error;
      if (error instanceof RangeError) throw withCode(message, "bad-cursor", error);
      const isOutside = readiness !== undefined && (error as { code?: unknown }).code === undefined;
      throw isOutside ? withCode(message, "storage-unavailable", error) : error;
    }
  }
}

function withCode(message: string, code: string, cause?: unknown): Error {
  return Object.assign(new Error(message, { cause }), { code });
}
