import assert from "node:assert/strict";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import type { SwarmKind } from "../peer-store.ts";
import { type TorrentRecord, walk } from "../records.ts";
import { type ConformanceGroup, seeding } from "./group.ts";
import { endpoint, type StoreTester, type TestPeer, testInfoHash, testPeer } from "./store-tester.ts";

const torrent = testInfoHash(11);
const kinds: readonly SwarmKind[] = ["web"];
const web = (n: number) => testPeer("web", n);

/** Returns web peer `n` of a worker. */
function webPeer(worker: number, n: number): TestPeer {
  const peer = testPeer("web", n);
  peer.address.bytes[0] = (worker << 2) | (n & 3);
  return peer;
}

/** What only web peers do: peers behind a WebSocket of the tracker. */
export const webGroups: readonly ConformanceGroup[] = [
  {
    name: "web peers and peers with an address share the counts, not the lists",
    kinds,
    async run(tester) {
      // The IPv4 peer's endpoint has the bytes of the web peer's handle and generation.
      await tester.announce(torrent, web(1));
      await tester.announce(torrent, testPeer(4, 1), seeding);
      await tester.announce(torrent, testPeer(6, 1), { event: AnnounceEvent.completed });
      const room = { otherLimit: 10 };
      const toWeb = await tester.announce(torrent, web(2), room);
      assert.deepEqual([toWeb.peers, toWeb.others], [[endpoint(web(1))], []], "a web peer gets web peers");
      assert.deepEqual([toWeb.complete, toWeb.incomplete, toWeb.snatches], [2, 2, 1], "all peers count");
      for (const [kind, other] of [[4, 6] as const, [6, 4] as const]) {
        const response = await tester.announce(torrent, testPeer(kind, 2), room);
        assert.deepEqual(response.peers, [endpoint(testPeer(kind, 1))], `IPv${kind}: its own family`);
        assert.deepEqual(response.others, [endpoint(testPeer(other, 1))], `IPv${kind}: the other family`);
        assert.deepEqual([response.complete, response.incomplete], [2, 3], `IPv${kind}: all peers count`);
        await tester.announce(torrent, testPeer(kind, 2), { event: AnnounceEvent.stopped });
      }
      await tester.announce(torrent, web(1), { event: AnnounceEvent.stopped });
      await tester.expectCounts(torrent, 4, 2, 1, "the IPv4 peer with the same bytes stays");
      await tester.announce(torrent, web(1));
      await tester.announce(torrent, testPeer(4, 1), { event: AnnounceEvent.stopped });
      await tester.announce(torrent, testPeer(6, 1), { event: AnnounceEvent.stopped });
      const rest = await tester.announce(torrent, web(2), room);
      assert.deepEqual([rest.peers, rest.complete, rest.incomplete], [[endpoint(web(1))], 0, 2]);
      for (const n of [1, 2]) await tester.announce(torrent, web(n), { event: AnnounceEvent.stopped });
      assert.equal(
        (await tester.scrapeOne(torrent, 4)).snatches,
        1,
        "snatches stay when every kind has gone",
      );
      const { seeders, leechers } = await tester.statistics();
      assert.deepEqual([seeders, leechers], [0, 0]);
    },
  },
  {
    name: "the kinds of a torrent come and go in any order",
    kinds,
    async run(tester) {
      const all: readonly SwarmKind[] = [4, 6, "web"];
      for (const come of permutations(all)) {
        for (const go of permutations(all)) {
          let snatches = (await tester.scrapeOne(torrent, 4)).snatches;
          for (const [n, kind] of come.entries()) {
            const peer = testPeer(kind, 1);
            const response = await tester.announce(torrent, peer, { event: AnnounceEvent.completed });
            assert.deepEqual(
              [response.complete, response.snatches],
              [n + 1, ++snatches],
              `${come}: ${kind} comes`,
            );
          }
          for (const [n, kind] of go.entries()) {
            await tester.announce(torrent, testPeer(kind, 1), { event: AnnounceEvent.stopped });
            const { complete, snatches: left } = await tester.scrapeOne(torrent, kind);
            assert.deepEqual([complete, left], [2 - n, snatches], `${come}, ${go}: ${kind} goes`);
          }
        }
      }
    },
  },
  {
    name: "a web seeder gets leechers first, then seeders",
    kinds,
    async run(tester) {
      for (let n = 1; n <= 6; n++) await tester.announce(torrent, web(n), n <= 4 ? seeding : {});
      const leechers = [5, 6].map((n) => endpoint(web(n)));
      const seeders = [2, 3, 4].map((n) => endpoint(web(n)));
      for (const numWant of [1, 2, 3, 5, 50]) {
        const { peers } = await tester.announce(torrent, web(1), { ...seeding, numWant });
        assert.equal(new Set(peers).size, Math.min(numWant, 5), `numwant ${numWant}: distinct peers`);
        for (const peer of peers.slice(0, 2)) assert.ok(leechers.includes(peer), `${peer} is no leecher`);
        for (const peer of peers.slice(2)) assert.ok(seeders.includes(peer), `${peer} is no seeder`);
      }
      const some = await tester.announce(torrent, web(1), { ...seeding, numWant: 5, limit: 3 });
      assert.equal(some.peers.length, 3, "the list has less room than numwant");
      await tester.announce(torrent, web(5), { event: AnnounceEvent.stopped });
      await tester.announce(torrent, web(6), { event: AnnounceEvent.stopped });
      const only = await tester.announce(torrent, web(1), seeding);
      assert.deepEqual(only.peers.toSorted(), seeders, "seeders alone meet each other");
    },
  },
  {
    name: "a web peer never gets itself",
    kinds,
    async run(tester) {
      for (const options of [{}, seeding]) {
        const { peers, complete, incomplete } = await tester.announce(torrent, web(1), options);
        assert.deepEqual([peers, complete + incomplete], [[], 1]);
      }
    },
  },
  {
    name: "a web peer is its handle and generation",
    kinds,
    async run(tester) {
      const peer = testPeer("web", 1, 0); // the first generation of a slot
      await tester.announce(torrent, peer);
      await tester.announce(torrent, { ...peer, port: 65_535 });
      await tester.announce(torrent, webPeer(63, 1), seeding);
      await tester.expectCounts(torrent, 4, 1, 2, "generations and workers differ");
      const { peers } = await tester.announce(torrent, peer);
      assert.deepEqual(peers, [endpoint(webPeer(63, 1)), endpoint({ ...peer, port: 65_535 })]);
      await tester.announce(torrent, peer, { event: AnnounceEvent.stopped });
      await tester.expectCounts(torrent, 4, 1, 1, "the socket that used the slot afterwards stays");
    },
  },
  {
    name: "the peers of a worker's sockets are swept",
    kinds,
    async run(tester) {
      const size = 1500; // in the first torrent; more than one page of a packed store
      for (let n = 0; n < size; n++) {
        await tester.announce(torrent, webPeer(n % 3, n), n % 5 === 0 ? seeding : {});
        if (n < 30) await tester.announce(testInfoHash(100 + n), webPeer(n % 3, n), seeding);
      }
      await tester.announce(torrent, webPeer(1, 4), { event: AnnounceEvent.completed });
      await tester.announce(torrent, testPeer(4, 1));
      assert.equal(await tester.store.sweep!(5), 0, "no socket of another worker");
      const ofWorker = size / 3 + 10;
      assert.equal(await tester.store.sweep!(1), ofWorker);
      assert.equal(await tester.store.sweep!(1), 0, "once");
      const { peersWeb, swarms } = await tester.statistics();
      assert.equal(peersWeb, 2 * ofWorker);
      assert.equal(swarms, 1 + 1 + 20, "a swarm without peers is gone");
      const row = await tester.scrapeOne(torrent, 4);
      const left = Array.from({ length: size }, (_, n) => n).filter((n) => n % 3 !== 1);
      const seeders = left.filter((n) => n % 5 === 0).length;
      assert.deepEqual(row, {
        complete: seeders,
        incomplete: left.length - seeders + 1,
        snatches: 1,
        partial: 0,
      });
      const { peers } = await tester.announce(torrent, web(4), { numWant: 2 * size });
      const expected = left.map((n) => endpoint(webPeer(n % 3, n))).sort();
      assert.deepEqual(peers.toSorted(), expected, "the others are listed");
    },
  },
  {
    name: "records count web peers, and do not list them",
    kinds,
    async run(tester) {
      const { records } = tester.store;
      if (records === undefined) return;
      await tester.announce(torrent, web(1), seeding);
      await tester.announce(torrent, web(2), { event: AnnounceEvent.paused });
      await tester.announce(torrent, testPeer(6, 1));
      await tester.announce(testInfoHash(12), web(1));
      const pages = await exported(tester);
      const counts = pages.torrents.map(({ infoHash: _, ...rest }) => rest);
      assert.deepEqual(
        counts.sort((a, b) => b.seeders - a.seeders),
        [
          { seeders: 1, leechers: 2, partial: 1, snatches: 0, peers4: 0, peers6: 1, peersWeb: 2 },
          { seeders: 0, leechers: 1, partial: 0, snatches: 0, peers4: 0, peers6: 0, peersWeb: 1 },
        ],
      );
      assert.deepEqual(pages.peers, [endpoint(testPeer(6, 1))]);
      for (const infoHash of [torrent, testInfoHash(12)]) {
        const found: TorrentRecord[] = [...(await records.find([infoHash]))];
        assert.equal(found[0]?.peersWeb, infoHash === torrent ? 2 : 1, "found by its infohash");
      }
    },
  },
];

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  );
}

async function exported({ store }: StoreTester) {
  const torrents = [];
  const peers: string[] = [];
  for await (const page of walk((cursor) => store.records!.export(cursor))) {
    for (const record of page.torrents) torrents.push({ ...record });
    for (const { address, port } of page.peers) peers.push(`${address}:${port}`);
  }
  return { torrents, peers };
}
