import assert from "node:assert/strict";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { type ConformanceGroup, seeding } from "./group.ts";
import { endpoint, listOfLonePeer, otherKind, testInfoHash, testPeer } from "./store-tester.ts";

const torrent = testInfoHash(1);
const nothing = { complete: 0, incomplete: 0, snatches: 0, partial: 0 };
const { stopped, completed } = AnnounceEvent;

/**
 * Who is in a swarm, and as what. The first ten are the assertion groups of Chihaya's storage tests
 * (storage/storage_tests.go), told in announces: where Chihaya's store returns "resource does not exist", the
 * announce step has nothing to say and leaves everything as it is.
 */
export const membershipGroups: readonly ConformanceGroup[] = [
  {
    name: "removing from an unknown swarm is no error and creates nothing",
    async run(tester, kind) {
      const response = await tester.announce(torrent, testPeer(kind, 1), { event: stopped });
      assert.deepEqual(
        response,
        { complete: 0, incomplete: 0, snatches: 0, peers: [], seeders: 0, others: [], peerIds: undefined },
        "the response",
      );
      assert.equal((await tester.statistics()).swarms, 0, "swarms");
      assert.deepEqual(await tester.swarms(), [], "listed swarms");
    },
  },
  {
    name: "scraping an unknown swarm shows zeros and creates nothing",
    async run(tester, kind) {
      assert.deepEqual(await tester.scrapeOne(torrent, kind), nothing);
      assert.equal((await tester.statistics()).swarms, 0, "swarms");
      assert.deepEqual(await tester.swarms(), [], "listed swarms");
    },
  },
  {
    name: "a leecher is only a leecher",
    async run(tester, kind) {
      const response = await tester.announce(torrent, testPeer(kind, 1));
      assert.deepEqual([response.complete, response.incomplete], [0, 1], "counts of the response");
      await tester.expectCounts(torrent, kind, 0, 1, "scrape");
      await tester.announce(torrent, testPeer(kind, 2), { event: stopped });
      await tester.expectCounts(torrent, kind, 0, 1, "scrape after a stranger has stopped");
    },
  },
  {
    name: "a leecher is listed to seeders and to leechers",
    async run(tester, kind) {
      const [dummy, peer] = [testPeer(kind, 1), testPeer(kind, 2)];
      await tester.announce(torrent, dummy);
      await tester.announce(torrent, peer);
      await tester.expectCounts(torrent, kind, 0, 2, "scrape");
      const toLeecher = await tester.announce(torrent, dummy);
      assert.deepEqual(toLeecher.peers, [endpoint(peer)], "to a leecher");
      const toSeeder = await tester.announce(torrent, dummy, seeding);
      assert.deepEqual(toSeeder.peers, [endpoint(peer)], "to a seeder");
    },
  },
  {
    name: "a removed leecher is listed no more",
    async run(tester, kind) {
      const [dummy, peer] = [testPeer(kind, 1), testPeer(kind, 2)];
      await tester.announce(torrent, dummy, seeding);
      await tester.announce(torrent, peer);
      const parting = await tester.announce(torrent, peer, { event: stopped });
      assert.deepEqual([parting.complete, parting.incomplete], [1, 0], "counts of its last response");
      await tester.announce(torrent, testPeer(kind, 3));
      const response = await tester.announce(torrent, dummy, seeding);
      assert.deepEqual(response.peers, [endpoint(testPeer(kind, 3))]);
      await tester.expectCounts(torrent, kind, 1, 1, "scrape");
    },
  },
  {
    name: "a seeder is listed to leechers",
    async run(tester, kind) {
      const [dummy, peer] = [testPeer(kind, 1), testPeer(kind, 2)];
      await tester.announce(torrent, dummy);
      await tester.announce(torrent, peer, seeding);
      const response = await tester.announce(torrent, dummy);
      assert.deepEqual(response.peers, [endpoint(peer)]);
      assert.deepEqual([response.complete, response.incomplete], [1, 1], "counts of the response");
      await tester.expectCounts(torrent, kind, 1, 1, "scrape");
    },
  },
  {
    name: "a removed seeder is listed no more",
    async run(tester, kind) {
      const [dummy, peer] = [testPeer(kind, 1), testPeer(kind, 2)];
      await tester.announce(torrent, dummy);
      await tester.announce(torrent, peer, seeding);
      await tester.announce(torrent, testPeer(kind, 3), seeding);
      const parting = await tester.announce(torrent, peer, { event: stopped, left: 0n });
      assert.deepEqual([parting.complete, parting.incomplete], [1, 1], "counts of its last response");
      const response = await tester.announce(torrent, dummy);
      assert.deepEqual(response.peers, [endpoint(testPeer(kind, 3))]);
      await tester.expectCounts(torrent, kind, 1, 1, "scrape");
    },
  },
  {
    name: "a leecher that completes is a seeder, and stays one",
    async run(tester, kind) {
      const [dummy, peer] = [testPeer(kind, 1), testPeer(kind, 2)];
      await tester.announce(torrent, dummy);
      await tester.announce(torrent, peer);
      const response = await tester.announce(torrent, peer, { event: completed, left: 7n });
      assert.deepEqual([response.complete, response.incomplete], [1, 1], "counts, whatever is left");
      assert.deepEqual((await tester.announce(torrent, dummy)).peers, [endpoint(peer)], "to a leecher");
      const asSeeder = await tester.announce(torrent, testPeer(kind, 3), seeding);
      assert.equal(asSeeder.peers[0], endpoint(dummy), "the only leecher");
      assert.equal(asSeeder.peers.includes(endpoint(peer)), kind === "web", "it is among the seeders");
    },
  },
  {
    name: "removing twice is no error and leaves nothing",
    async run(tester, kind) {
      const [leecher, seeder] = [testPeer(kind, 1), testPeer(kind, 2)];
      await tester.announce(torrent, leecher);
      await tester.announce(torrent, seeder, seeding);
      for (let time = 0; time < 2; time++) {
        await tester.announce(torrent, leecher, { event: stopped });
        await tester.expectCounts(torrent, kind, 1, 0, `after removal ${time + 1} of the leecher`);
      }
      for (let time = 0; time < 2; time++) {
        const response = await tester.announce(torrent, seeder, { event: stopped, left: 0n });
        assert.deepEqual(
          [response.complete, response.incomplete],
          [0, 0],
          `removal ${time + 1} of the seeder`,
        );
      }
      assert.deepEqual(await tester.scrapeOne(torrent, kind), nothing);
      const { seeders, leechers, peers4, peers6 } = await tester.statistics();
      assert.deepEqual(
        { seeders, leechers, peers4, peers6 },
        { seeders: 0, leechers: 0, peers4: 0, peers6: 0 },
      );
    },
  },
  {
    name: "a store starts and stops, also twice",
    async run(tester, kind) {
      await tester.store.start();
      await tester.announce(torrent, testPeer(kind, 1));
      await tester.expectCounts(torrent, kind, 0, 1, "after the second start");
      await tester.store.stop();
      await tester.store.stop();
    },
  },

  {
    name: "announcing again changes nothing",
    async run(tester, kind) {
      const [leecher, seeder] = [testPeer(kind, 1), testPeer(kind, 2)];
      for (let time = 0; time < 3; time++) {
        await tester.announce(torrent, leecher, time === 0 ? { event: AnnounceEvent.started } : {});
        await tester.announce(torrent, seeder, seeding);
        await tester.expectCounts(torrent, kind, 1, 1, `announce ${time + 1}`);
      }
      const { seeders, leechers } = await tester.statistics();
      assert.deepEqual({ seeders, leechers }, { seeders: 1, leechers: 1 });
      assert.deepEqual((await tester.announce(torrent, leecher)).peers, [endpoint(seeder)]);
    },
  },
  {
    name: "a peer is its address and port, not its peer id",
    async run(tester, kind) {
      const peer = testPeer(kind, 1);
      await tester.announce(torrent, peer);
      await tester.announce(torrent, { ...peer, id: testPeer(kind, 9).id });
      await tester.expectCounts(torrent, kind, 0, 1, "the same endpoint with another peer id");
      await tester.announce(torrent, { ...peer, port: peer.port + 256 });
      await tester.expectCounts(torrent, kind, 0, 2, "another port");
      await tester.announce(torrent, { ...testPeer(kind, 2), port: peer.port, id: peer.id });
      await tester.expectCounts(torrent, kind, 0, 3, "another address with the same port and peer id");
      await tester.announce(torrent, { ...peer, id: testPeer(kind, 9).id }, { event: stopped });
      await tester.expectCounts(torrent, kind, 0, 2, "stopped under another peer id");
    },
  },
  {
    name: "a role changes without completed",
    async run(tester, kind) {
      const [peer, watcher] = [testPeer(kind, 1), testPeer(kind, 2)];
      await tester.announce(torrent, watcher);
      const roles = [
        { left: 5n, seeds: 0 },
        { left: 0n, seeds: 1 },
        { left: 5n, seeds: 0 },
        { left: 0n, seeds: 1 },
      ];
      for (const { left, seeds } of roles) {
        const response = await tester.announce(torrent, peer, { left });
        assert.deepEqual([response.complete, response.incomplete], [seeds, 2 - seeds], `left is ${left}`);
        assert.deepEqual(response.peers, [endpoint(watcher)], `its list, left is ${left}`);
        assert.deepEqual((await tester.announce(torrent, watcher)).peers, [endpoint(peer)], "listed once");
        await tester.expectCounts(torrent, kind, seeds, 2 - seeds, `scrape, left is ${left}`);
      }
      await tester.announce(torrent, peer, { event: stopped });
      await tester.expectCounts(torrent, kind, 0, 1, "a seeder that stops as a leecher is gone");
    },
  },
  {
    name: "a stranger that completes is a seeder",
    async run(tester, kind) {
      const peer = testPeer(kind, 1);
      const response = await tester.announce(torrent, peer, { event: completed, left: 100n });
      assert.deepEqual([response.complete, response.incomplete, response.snatches], [1, 0, 1]);
      assert.deepEqual((await tester.announce(torrent, testPeer(kind, 2))).peers, [endpoint(peer)]);
    },
  },
  {
    name: "families of a torrent share the counts, not the lists",
    async run(tester, kind) {
      const other = otherKind(kind);
      // Both with one port, and the IPv6 address begins with the bytes of the IPv4 one.
      const peer = testPeer(kind, 1);
      await tester.announce(torrent, peer);
      await tester.announce(torrent, testPeer(other, 1), seeding);
      await tester.announce(torrent, testPeer(other, 2), { event: AnnounceEvent.paused });
      for (const each of [kind, other]) {
        const row = await tester.scrapeOne(torrent, each);
        assert.deepEqual(row, { complete: 1, incomplete: 2, snatches: 0, partial: 1 }, `over IPv${each}`);
      }
      const response = await tester.announce(torrent, testPeer(kind, 2));
      assert.deepEqual([response.complete, response.incomplete], [1, 3], "the peers of both families count");
      assert.deepEqual(response.peers, [endpoint(peer)]);
      assert.deepEqual(response.others, [], "no peers of the other family where its list has no room");
      const silent = await tester.announce(torrent, testPeer(kind, 2), { numWant: 0 });
      assert.deepEqual([silent.complete, silent.incomplete], [1, 3], "also where no peers are asked for");
      const stranger = await tester.announce(torrent, testPeer(kind, 3), { step: 2 });
      assert.deepEqual(
        [stranger.complete, stranger.incomplete],
        [1, 3],
        "also to one that is not in the swarm",
      );
      for (const n of [1, 2]) {
        const last = await tester.announce(torrent, testPeer(kind, n), { event: stopped });
        assert.deepEqual([last.complete, last.incomplete], [1, 3 - n], `peer ${n} stops`);
      }
      await tester.expectCounts(torrent, kind, 1, 1, "the other family alone");
      await tester.announce(torrent, testPeer(kind, 2));
      await tester.announce(torrent, testPeer(other, 1), { event: stopped });
      await tester.announce(torrent, testPeer(other, 2), { event: stopped });
      await tester.expectCounts(torrent, other, 0, 1, "after the other family has gone");
      assert.equal((await tester.statistics()).swarms, 1, "swarms that are left");
    },
  },
  {
    name: "torrents that differ in one bit are different",
    async run(tester, kind) {
      const infoHashes = [torrent];
      for (let bit = 0; bit < 160; bit++) {
        const infoHash = torrent.slice();
        infoHash[bit >> 3] = infoHash[bit >> 3]! ^ (1 << (bit & 7));
        infoHashes.push(infoHash);
      }
      for (const [n, infoHash] of infoHashes.entries()) {
        const response = await tester.announce(infoHash, testPeer(kind, n + 1));
        assert.deepEqual(response.peers, listOfLonePeer(testPeer(kind, n + 1)), `alone in torrent ${n}`);
      }
      for (const row of await tester.scrape(infoHashes, kind)) assert.equal(row.incomplete, 1);
      assert.equal((await tester.statistics()).swarms, infoHashes.length);
    },
  },
  {
    name: "a big swarm keeps every peer through growth, role changes and removals",
    async run(tester, kind) {
      const size = 700;
      const role = new Map<string, "seeder" | "leecher">();
      const put = async (n: number, seeder: boolean) => {
        const peer = testPeer(kind, n);
        await tester.announce(torrent, peer, { left: seeder ? 0n : 1n, numWant: 0 });
        role.set(endpoint(peer), seeder ? "seeder" : "leecher");
      };
      const expectAll = async (why: string) => {
        const names = (wanted: string) => [...role].filter(([, is]) => is === wanted).map(([name]) => name);
        const watcher = testPeer(kind, size + 1);
        const options = { numWant: 2 * size, step: 2 } as const;
        const listed = await tester.announce(torrent, watcher, options);
        assert.deepEqual(listed.peers.toSorted(), [...role.keys()].sort(), `${why}: all peers`);
        const leechers = await tester.announce(torrent, watcher, { ...options, left: 0n });
        const first = leechers.peers.slice(0, leechers.incomplete).sort();
        assert.deepEqual(first, names("leecher").sort(), `${why}: leechers`);
        assert.equal(leechers.peers.length, kind === "web" ? role.size : first.length, `${why}: to a seeder`);
        assert.deepEqual(
          [listed.complete, listed.incomplete],
          [names("seeder").length, names("leecher").length],
          `${why}: counts`,
        );
      };
      for (let n = 0; n < size; n++) await put(n, n % 3 === 0);
      await expectAll("grown");
      for (let n = 0; n < size; n += 5) await put(n, n % 3 !== 0);
      await expectAll("roles changed");
      for (let n = 0; n < size; n++) {
        if (n % 7 === 0) continue;
        const peer = testPeer(kind, n);
        await tester.announce(torrent, peer, { event: stopped, numWant: 0 });
        role.delete(endpoint(peer));
      }
      await expectAll("shrunk");
    },
  },
  {
    name: "announces at the same time are applied one after the other",
    async run(tester, kind) {
      const count = 20;
      const responses = await Promise.all(
        Array.from({ length: count }, (_, n) => tester.announce(torrent, testPeer(kind, n + 1))),
      );
      const seen = responses.map((response) => response.incomplete).sort((a, b) => a - b);
      assert.deepEqual(
        seen,
        Array.from({ length: count }, (_, n) => n + 1),
        "each sees itself and all that came before it",
      );
      const fewest = listOfLonePeer(testPeer(kind, 1)).length;
      for (const { peers, incomplete } of responses) {
        assert.equal(peers.length, Math.max(fewest, incomplete - 1));
      }
    },
  },
];
