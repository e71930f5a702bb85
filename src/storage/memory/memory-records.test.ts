import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkMemory } from "../../../test/support/check-memory.ts";
import { Shared, stressMemory } from "../../../test/support/stress.ts";
import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { toHex } from "../../bittorrent/info-hash.ts";
import { PeerList } from "../../bittorrent/peer-list.ts";
import { Address } from "../../ip/address.ts";
import { createRandom } from "../../lib/clock.ts";
import { Step } from "../peer-store.ts";
import { type PeerRecord, type RecordPage, replayAll, walk } from "../records.ts";
import { Big, Torrent, torrentWords } from "./layout.ts";
import { MemoryStore, type MemoryStoreConfig } from "./memory-store.ts";

/** A store whose torrents and peers are numbers; peers below 0 are IPv6. */
class Numbered {
  readonly clock = { seconds: 10_000, unixSeconds: 0 };
  readonly store: MemoryStore;
  readonly request = new AnnounceRequest();
  readonly response: AnnounceResponse = new AnnounceResponse(
    new PeerList(4, new Uint8Array(4096)),
    new PeerList(6, new Uint8Array(4096)),
  );

  constructor(changes: Partial<MemoryStoreConfig> = {}) {
    const config = { gcInterval: 180, peerLifetime: 1800, maxPeers: 400_000, peerIds: false, ...changes };
    this.store = new MemoryStore({ clock: this.clock, random: createRandom(1), config });
  }

  announce(torrent: number, peer: number, event: AnnounceEvent = AnnounceEvent.none, left = 1n): void {
    const { request } = this;
    request.infoHashWords.fill(torrent);
    setPeer(request.address, peer);
    request.port = 1024 + (Math.abs(peer) % 5);
    request.event = event;
    request.left = left;
    this.response.reset(0, 0);
    this.store.announce(request, this.response, Step.apply);
  }

  fill(torrent: number, from: number, to: number): void {
    for (let peer = from; peer < to; peer++)
      this.announce(torrent, peer, AnnounceEvent.none, BigInt(peer % 3));
  }

  /** Offset of the header of the IPv4 swarm of the torrent that was added first, or a negative number. */
  get header(): number {
    return -new Int32Array(this.store.memory.torrents)[torrentWords + Torrent.record4]!;
  }
}

function setPeer(address: Address, peer: number): void {
  const n = Math.abs(peer);
  const bytes = Uint8Array.of(32, 1, 13, 184, ...new Array(8).fill(0), 10, n >> 16, (n >> 8) & 255, n & 255);
  address.set(peer < 0 ? 6 : 4, bytes, peer < 0 ? 0 : 12);
}

const nameOf = ({ infoHash, address, port }: PeerRecord): string =>
  `${new DataView(infoHash.buffer, infoHash.byteOffset).getInt32(0, true)} ${address}:${port}`;

/** Counts how often each peer comes in a walk. @param between  is called after each page */
function countPeers(
  step: (cursor?: string) => RecordPage,
  between: (page: RecordPage, n: number) => void = () => undefined,
): Map<string, number> {
  const seen = new Map<string, number>();
  let cursor: string | undefined;
  let pages = 0;
  do {
    const page: RecordPage = step(cursor);
    let peers = 0;
    for (const peer of page.peers) {
      const name = nameOf(peer);
      seen.set(name, (seen.get(name) ?? 0) + 1);
      peers++;
    }
    assert.ok(peers <= 2048, `a page of ${peers} peers`);
    assert.match(page.next ?? "end", /^[!-~]+$/);
    between(page, pages++);
    cursor = page.next;
  } while (cursor !== undefined);
  return seen;
}

function assertOnce(seen: Map<string, number>, expected: Iterable<string>): void {
  const wrong = [...expected].filter((name) => seen.get(name) !== 1);
  assert.deepEqual(
    wrong.slice(0, 5).map((name) => [name, seen.get(name)]),
    [],
  );
}

const peerName = (torrent: number, peer: number): string => {
  const address = new Address();
  setPeer(address, peer);
  return `${torrent} ${address}:${1024 + (Math.abs(peer) % 5)}`;
};

describe("a walk over the memory store", () => {
  test("meets every torrent and peer once while the table grows eightfold", () => {
    for (const method of ["export", "torrents"] as const) {
      const { store, announce } = bound(new Numbered());
      for (let torrent = 1; torrent <= 6000; torrent++) announce(torrent, torrent % 2 ? 7 : -7);
      let more = 100_000;
      const torrents = new Map<string, number>();
      const seen = countPeers(
        (cursor) => store.records[method](cursor),
        (page, n) => {
          let inPage = 0;
          for (const { infoHash } of page.torrents) {
            inPage++;
            const name = toHex(infoHash);
            torrents.set(name, (torrents.get(name) ?? 0) + 1);
          }
          assert.ok(inPage <= 2100, `${inPage} torrents in a page`);
          while (more < 100_000 + 15_000 * Math.min(n + 1, 3)) announce(++more, 8);
        },
      );
      const infoHashes = Array.from({ length: 6000 }, (_, i) =>
        toHex(new Uint8Array(new Int32Array(5).fill(i + 1).buffer)),
      );
      assertOnce(torrents, infoHashes);
      if (method === "torrents") assert.equal(seen.size, 0);
      else
        assertOnce(
          seen,
          infoHashes.map((_, i) => peerName(i + 1, (i + 1) % 2 ? 7 : -7)),
        );
    }
  });

  for (const sign of [1, -1]) {
    test(`meets every peer of a big IPv${sign > 0 ? 4 : 6} swarm once while others come, go and change roles`, () => {
      for (const only of [false, true]) {
        const { store, announce } = bound(new Numbered());
        const constant = 40_000;
        for (let n = 0; n < 2 * constant; n++) announce(1, sign * (n + 1), AnnounceEvent.none, BigInt(n % 3));
        const infoHash = new Uint8Array(new Int32Array(5).fill(1).buffer);
        const random = createRandom(7);
        let extra = 2 * constant;
        let pages = 0;
        const seen = countPeers(
          (cursor) => (only ? store.records.peers(infoHash, cursor) : store.records.export(cursor)),
          (page, n) => {
            assert.equal([...page.torrents].length, n === 0 ? 1 : 0);
            pages++;
            for (let i = 0; i < 2000; i++) {
              const peer = 1 + (random.next() % constant);
              announce(1, sign * peer, AnnounceEvent.none, BigInt(random.next() % 2));
              const gone = 1 + constant + (random.next() % constant);
              announce(1, sign * gone, AnnounceEvent.stopped);
              if (i % 4 === 0) announce(1, sign * ++extra);
            }
          },
        );
        assert.ok(pages >= 15, `${pages} pages`);
        assertOnce(
          seen,
          Array.from({ length: constant }, (_, n) => peerName(1, sign * (n + 1))),
        );
        assert.ok([...seen.values()].every((times) => times === 1 || times === 2));
      }
    });
  }

  test("goes on in a big swarm that becomes a small one, with or without its index", () => {
    for (const left of [3000, 200]) {
      const { store, announce } = bound(new Numbered());
      const numbered = Array.from({ length: 20_000 }, (_, n) => n + 1);
      for (const peer of numbered) announce(1, peer);
      const seen = countPeers(
        (cursor) => store.records.export(cursor),
        (_, n) => {
          if (n === 0) for (const peer of numbered.slice(left)) announce(1, peer, AnnounceEvent.stopped);
        },
      );
      assertOnce(
        seen,
        numbered.slice(0, left).map((peer) => peerName(1, peer)),
      );
    }
  });

  test("has a big swarm without an index in one page", () => {
    const numbered = new Numbered();
    numbered.fill(1, 1, 9000);
    new Int32Array(numbered.store.memory.peers4)[numbered.header + Big.index] = 0;
    const page = numbered.store.records.export();
    assert.equal([...page.peers].length, 8999);
    assert.equal(numbered.store.records.export(page.next).next, undefined);
  });

  test("goes on with the next torrent if the one to go on with is gone", () => {
    const numbered = new Numbered();
    for (let torrent = 1; torrent <= 20; torrent++) numbered.fill(torrent, 1, 1500);
    const gone = new Set<number>();
    const seen = countPeers(
      (cursor) => numbered.store.records.export(cursor),
      (page) => {
        const infoHash = page.next?.split(".")[1];
        if (infoHash?.length !== 40 || gone.size === 5) return;
        const bytes = Buffer.from(infoHash, "hex");
        gone.add(bytes.readInt32LE(0));
        numbered.store.remove(bytes);
      },
    );
    assert.equal(gone.size, 5);
    for (let torrent = 1; torrent <= 20; torrent++) {
      const expected = gone.has(torrent) ? undefined : 1;
      assert.equal(seen.get(peerName(torrent, 1)), expected, `torrent ${torrent}`);
    }
  });

  test("a page does not change when the store changes", () => {
    const numbered = new Numbered();
    numbered.fill(1, 1, 5000);
    const first = numbered.store.records.export();
    const names = () => [...first.peers].map((peer) => `${nameOf(peer)} ${peer.seeder} ${peer.age}`);
    // Iterating gives the same object at each turn, so the names are made while it goes.
    const copy = (page: RecordPage) => {
      const all: string[] = [];
      for (const peer of page.peers) all.push(`${nameOf(peer)} ${peer.seeder} ${peer.age}`);
      return all;
    };
    const before = copy(first);
    numbered.store.records.export(first.next);
    numbered.clock.seconds += 100;
    numbered.fill(1, 1, 5000);
    assert.deepEqual(copy(first), before);
    assert.equal(names().length, before.length);
  });

  test("a cursor of another store or another method is refused, and so is a made-up cursor", () => {
    const { store } = new Numbered();
    const { store: other, announce } = bound(new Numbered());
    for (let torrent = 1; torrent <= 10_000; torrent++) announce(torrent, 7);
    const cursor = other.records.torrents().next!;
    other.records.export(cursor);
    const identity = cursor.split(".")[0];
    for (const wrong of ["", "x", "0", identity!, `${identity}.123456789`, `${identity}.g`, `${cursor}.`]) {
      assert.throws(() => other.records.torrents(wrong), { name: "RangeError", message: /not a cursor/ });
      assert.throws(() => other.records.peers(new Uint8Array(20), wrong), RangeError);
    }
    assert.throws(() => store.records.export(cursor), RangeError);
    assert.throws(() => other.records.peers(new Uint8Array(20), cursor), RangeError);
    assert.equal(other.records.torrents(`${identity}.ffffffff`).next, undefined, "the last bucket");
  });

  test("meets nothing twice and tears nothing while threads announce", async () => {
    const shape = { torrents: 3, peers: 3000 };
    const { shared, begin, store, memory } = stressMemory(shape, 5);
    const threads = [begin(0), begin(0, true)];
    await Promise.all(threads.map((thread) => thread.advance(1000)));
    for (let round = 0; round < 5; round++) {
      const seen = countPeers(
        (cursor) => store.records.export(cursor),
        (page) => {
          for (const { seeders, leechers, peers4, peers6 } of page.torrents)
            assert.equal(seeders + leechers, peers4 + peers6);
        },
      );
      assert.ok([...seen.values()].every((times) => times <= 2));
      await threads[0]!.advance(50);
    }
    Atomics.store(shared, Shared.stop, 1);
    await Promise.all(threads.map(({ report }) => report));
    const peers = countPeers((cursor) => store.records.export(cursor));
    assert.deepEqual([...new Set(peers.values())], [1]);
    assert.equal(peers.size, checkMemory(memory).peers);
  });
});

describe("replay into the memory store", () => {
  test("a store of another shape has the same peers, torrents and snatches", async () => {
    const from = new Numbered({ peerIds: true });
    for (let torrent = 1; torrent < 400; torrent++) {
      const size = torrent === 1 ? 9000 : torrent % 60;
      from.fill(torrent, 1, size);
      for (let peer = 1; peer < size / 3; peer++) from.announce(torrent, -peer, AnnounceEvent.paused);
      for (let peer = 1; peer < size; peer += 7) from.announce(torrent, peer, AnnounceEvent.completed);
      if (torrent % 10 === 0)
        for (let peer = 1; peer < size; peer++) from.announce(torrent, peer, AnnounceEvent.stopped);
      from.clock.seconds++;
    }
    const to = new Numbered({ peerLifetime: 20_000 });
    to.clock.seconds = 77;
    const everything = async ({ records }: MemoryStore, coarse: number) => {
      const lines: string[] = [];
      for await (const page of walk((cursor) => records.export(cursor))) {
        for (const { infoHash, ...counts } of page.torrents)
          lines.push(`${toHex(infoHash)} ${JSON.stringify(counts)}`);
        for (const peer of page.peers) {
          const { seeder, partial, snatched, age } = peer;
          lines.push(`${nameOf(peer)} ${seeder} ${partial} ${snatched} ${age - (age % coarse)}`);
        }
      }
      return lines.sort();
    };
    const { tickSeconds } = to.store.memory;
    assert.equal(tickSeconds, 3);
    const result = await replayAll(
      to.store.records,
      walk((cursor) => from.store.records.export(cursor)),
    );
    const { seeders, leechers } = from.store.statistics();
    assert.deepEqual(result, { taken: seeders + leechers, expired: 0, refused: 0 });
    assert.deepEqual(await everything(to.store, 3), await everything(from.store, 3));
    checkMemory(to.store.memory);
    await replayAll(
      to.store.records,
      walk((cursor) => from.store.records.export(cursor)),
    );
    assert.deepEqual(await everything(to.store, 3), await everything(from.store, 3), "again");
    assert.deepEqual(to.store.statistics(), { ...from.store.statistics() });
  });
});

/** The store and its `announce` as a function. */
function bound(numbered: Numbered): { store: MemoryStore; announce: Numbered["announce"] } {
  return { store: numbered.store, announce: numbered.announce.bind(numbered) };
}
