import assert from "node:assert/strict";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import type { SwarmKind } from "../peer-store.ts";
import { type ConformanceGroup, seeding } from "./group.ts";
import { endpoint, listOfLonePeer, otherKind, testInfoHash, testPeer } from "./store-tester.ts";

const torrent = testInfoHash(5);

/** The count of a kind in the statistics. */
function countName(kind: SwarmKind) {
  return kind === "web" ? "peersWeb" : (`peers${kind}` as const);
}

const { completed, paused, stopped } = AnnounceEvent;

/** What is counted, how long it is kept, and how much of it. */
export const accountingGroups: readonly ConformanceGroup[] = [
  {
    name: "a peer's completed counts once",
    async run(tester, kind) {
      const snatches = async (n: number, options: object) =>
        (await tester.announce(torrent, testPeer(kind, n), options)).snatches;
      assert.equal(await snatches(1, seeding), 0, "a seeder that never completed");
      assert.equal(await snatches(2, {}), 0, "a leecher");
      assert.equal(await snatches(2, { event: completed, left: 0n }), 1, "it completes");
      assert.equal(await snatches(2, { event: completed, left: 0n }), 1, "it says so again");
      assert.equal(await snatches(2, seeding), 1, "it seeds");
      assert.equal(await snatches(2, {}), 1, "it checks its files and misses some");
      assert.equal(await snatches(2, { event: completed }), 1, "it completes what it has completed before");
      assert.equal(await snatches(3, { event: completed }), 2, "another peer, which nobody had seen before");
      await tester.announce(torrent, testPeer(kind, 2), { event: stopped });
      assert.equal((await tester.scrapeOne(torrent, kind)).snatches, 2, "they stay when the peer goes");

      const other = otherKind(kind);
      assert.equal((await tester.scrapeOne(torrent, other)).snatches, 2, "they belong to both families");
      const response = await tester.announce(torrent, testPeer(other, 1), { event: completed });
      assert.equal(response.snatches, 3, "both families add to them");
      assert.equal((await tester.scrapeOne(testInfoHash(6), kind)).snatches, 0, "not of another torrent");
    },
  },
  {
    name: "paused marks a partial seed",
    async run(tester, kind) {
      const [peer, second] = [testPeer(kind, 1), testPeer(kind, 2)];
      const expect = async (complete: number, incomplete: number, partial: number, why: string) =>
        assert.deepEqual(
          await tester.scrapeOne(torrent, kind),
          { complete, incomplete, snatches: 0, partial },
          why,
        );
      await tester.announce(torrent, peer);
      await expect(0, 1, 0, "a leecher is none");
      await tester.announce(torrent, peer, { event: paused });
      await tester.announce(torrent, peer, { event: paused });
      await expect(0, 1, 1, "paused twice");
      await tester.announce(torrent, second, { event: paused });
      await expect(0, 2, 2, "two of them, one nobody had seen before");
      await tester.announce(torrent, peer);
      await expect(0, 2, 1, "it goes on downloading");
      await tester.announce(torrent, second, { event: stopped });
      await expect(0, 1, 0, "the other stops");
      await tester.announce(torrent, peer, { event: paused });
      await tester.announce(torrent, peer, { event: paused, left: 0n });
      await expect(1, 0, 0, "with nothing left it is a seeder");
      await tester.announce(torrent, peer, { event: paused });
      await expect(0, 1, 1, "and back");
      assert.deepEqual((await tester.announce(torrent, second, seeding)).peers, [endpoint(peer)], "listed");
      tester.advance(tester.environment.peerLifetime + 60);
      await tester.expire();
      await expect(0, 0, 0, "expired");
    },
  },
  {
    name: "peers that no longer announce expire",
    async run(tester, kind) {
      const lifetime = tester.environment.peerLifetime;
      const other = otherKind(kind);
      await tester.announce(torrent, testPeer(kind, 1));
      await tester.announce(torrent, testPeer(kind, 2), seeding);
      await tester.announce(torrent, testPeer(kind, 3));
      await tester.announce(torrent, testPeer(other, 1));
      await tester.announce(testInfoHash(6), testPeer(kind, 1), seeding);
      tester.advance(lifetime - 60);
      assert.equal(await tester.expire(), 0, "no peer is old");
      await tester.announce(torrent, testPeer(kind, 2), seeding);
      await tester.announce(torrent, testPeer(kind, 3));
      tester.advance(120);
      assert.equal(await tester.expire(), 3, "the peers without a refresh");
      assert.equal(await tester.expire(), 0, "once");
      await tester.expectCounts(torrent, kind, 1, 1, "refreshed peers stay, and no peer of the other family");
      await tester.expectCounts(testInfoHash(6), kind, 0, 0, "the other torrent");
      const response = await tester.announce(torrent, testPeer(kind, 3));
      assert.deepEqual(response.peers, [endpoint(testPeer(kind, 2))], "they are listed no more");
      assert.equal((await tester.statistics()).swarms, 1, "empty swarms are gone");
      tester.advance(lifetime + 60);
      assert.equal(await tester.expire(), 2, "in the end all of them");
      assert.equal((await tester.statistics()).swarms, 0);
      assert.deepEqual(await tester.swarms(), []);
      assert.deepEqual(
        (await tester.announce(torrent, testPeer(kind, 1))).peers,
        listOfLonePeer(testPeer(kind, 1)),
        "one that comes back begins anew",
      );
    },
  },
  {
    name: "a peer expires when its lifetime is over, and not a second earlier",
    async run(tester, kind) {
      await tester.announce(torrent, testPeer(kind, 1));
      for (let time = 0; time < 40; time++) {
        tester.advance(tester.environment.peerLifetime - 1);
        assert.equal(await tester.expire(), 0, `one second before, ${time} lifetimes after the start`);
        await tester.announce(torrent, testPeer(kind, 1));
      }
      tester.advance(tester.environment.peerLifetime);
      assert.equal(await tester.expire(), 1, "when it is over");
    },
  },
  {
    name: "a full store responds, and counts the peers that it refuses",
    needs: "capacity",
    async run(tester, kind) {
      const capacity = tester.environment.capacity!;
      for (let n = 1; n <= capacity; n++) await tester.announce(torrent, testPeer(kind, n));
      await tester.expectCounts(torrent, kind, 0, capacity, "as many as fit");
      assert.equal((await tester.statistics()).refused, 0, "none is refused before that");
      for (let n = 1; n <= 3; n++) {
        const response = await tester.announce(torrent, testPeer(kind, capacity + n));
        assert.deepEqual([response.complete, response.incomplete], [0, capacity], "it is not counted");
        assert.equal(response.peers.length, Math.min(50, capacity), "it gets peers");
        assert.equal((await tester.statistics()).refused, n, "refused");
      }
      await tester.announce(testInfoHash(6), testPeer(kind, 1));
      await tester.expectCounts(testInfoHash(6), kind, 0, 0, "no room in another torrent either");
      assert.equal((await tester.statistics()).swarms, 1, "no swarm is left behind without peers");
      await tester.announce(torrent, testPeer(kind, capacity + 1), { event: stopped });
      assert.equal((await tester.statistics()).refused, 4, "removing is never refused");
      const seeder = await tester.announce(torrent, testPeer(kind, 1), seeding);
      assert.deepEqual([seeder.complete, seeder.incomplete], [1, capacity - 1], "a role changes in place");
      await tester.announce(torrent, testPeer(kind, 2), { event: stopped });
      await tester.announce(torrent, testPeer(kind, capacity + 1));
      await tester.expectCounts(torrent, kind, 1, capacity - 1, "one went, so there is room for one");
      await tester.announce(torrent, testPeer(kind, capacity + 2));
      await tester.expectCounts(torrent, kind, 1, capacity - 1, "and no more");
      const { refused, seeders, leechers } = await tester.statistics();
      assert.deepEqual({ refused, seeders, leechers }, { refused: 5, seeders: 1, leechers: capacity - 1 });
    },
  },
  {
    name: "a torrent that is removed leaves nothing",
    async run(tester, kind) {
      const other = otherKind(kind);
      for (let n = 1; n <= 3000; n++) await tester.announce(torrent, testPeer(kind, n), n % 3 ? {} : seeding);
      await tester.announce(torrent, testPeer(kind, 1), { event: completed });
      await tester.announce(torrent, testPeer(other, 1), { event: paused });
      await tester.announce(testInfoHash(6), testPeer(kind, 1), { event: completed });
      await tester.store.remove(Buffer.concat([torrent])); // which shares its memory with others
      for (const each of [kind, other]) {
        const row = await tester.scrapeOne(torrent, each);
        assert.deepEqual(row, { complete: 0, incomplete: 0, snatches: 0, partial: 0 }, `IPv${each}`);
      }
      const { swarms, seeders, leechers } = await tester.statistics();
      assert.deepEqual([swarms, seeders, leechers], [1, 1, 0], "the other torrent stays");
      assert.equal((await tester.scrapeOne(testInfoHash(6), kind)).snatches, 1, "with its snatches");
      await tester.store.remove(torrent);
      await tester.store.remove(testInfoHash(7));
      assert.equal((await tester.statistics()).swarms, 1, "what is not there is no error");
      const response = await tester.announce(torrent, testPeer(kind, 2));
      assert.deepEqual([response.incomplete, response.snatches], [1, 0], "it can begin anew");
      assert.deepEqual(response.peers, listOfLonePeer(testPeer(kind, 2)));
    },
  },
  {
    name: "a big torrent is removed while others announce",
    async run(tester, kind) {
      for (let n = 1; n <= 3000; n++) await tester.announce(torrent, testPeer(kind, n));
      const removals = [tester.store.remove(torrent), tester.store.remove(torrent)];
      for (let n = 1; n <= 20; n++) {
        const answer = await tester.announce(testInfoHash(6), testPeer(kind, n));
        assert.equal(answer.incomplete, n, "the others get their responses");
      }
      await Promise.all(removals);
      await tester.expectCounts(torrent, kind, 0, 0, "the torrent is gone");
      const { swarms, leechers } = await tester.statistics();
      assert.deepEqual([swarms, leechers], [1, 20], "and the others stay");
    },
  },
  {
    name: "statistics count what is stored",
    async run(tester, kind) {
      const other = otherKind(kind);
      const expect = async (
        ...[torrents, swarms, seeders, leechers, own, rest]: [number, number, number, number, number, number]
      ) => {
        const peers = { peers4: 0, peers6: 0, peersWeb: 0, [countName(kind)]: own, [countName(other)]: rest };
        const { refused, torrents: counted = torrents, peersWeb = 0, ...counts } = await tester.statistics();
        assert.deepEqual({ ...counts, peersWeb }, { swarms, seeders, leechers, ...peers });
        assert.deepEqual([counted, refused], [torrents, 0]);
      };
      await expect(0, 0, 0, 0, 0, 0);
      await tester.announce(torrent, testPeer(kind, 1));
      await tester.announce(torrent, testPeer(kind, 2), seeding);
      await tester.announce(torrent, testPeer(kind, 3), seeding);
      await expect(1, 1, 2, 1, 3, 0);
      await tester.announce(torrent, testPeer(other, 1));
      await expect(1, 2, 2, 2, 3, 1);
      await tester.announce(testInfoHash(6), testPeer(kind, 1));
      await expect(2, 3, 2, 3, 4, 1);
      await tester.announce(torrent, testPeer(kind, 1), seeding);
      await expect(2, 3, 3, 2, 4, 1);
      await tester.announce(torrent, testPeer(kind, 1), { event: stopped });
      await tester.announce(testInfoHash(6), testPeer(kind, 1), { event: stopped });
      await expect(1, 2, 2, 1, 2, 1);
    },
  },
  {
    name: "swarms are listed with their counts",
    async run(tester, kind) {
      const other = otherKind(kind);
      const torrents = [7, 8, 9, 10].map(testInfoHash);
      await tester.announce(torrents[0]!, testPeer(kind, 1));
      await tester.announce(torrents[0]!, testPeer(kind, 2), seeding);
      await tester.announce(torrents[0]!, testPeer(other, 1), seeding);
      await tester.announce(torrents[1]!, testPeer(kind, 1), { event: completed });
      await tester.announce(torrents[2]!, testPeer(kind, 1));
      await tester.announce(torrents[2]!, testPeer(kind, 1), { event: stopped });
      const rows = await tester.swarms();
      assert.equal(new Set(rows.map(({ key }) => key)).size, rows.length, "no swarm is listed twice");
      // A family without peers may be listed for the torrent's snatches.
      const withPeers = rows.filter(({ summary }) => summary.seeders + summary.leechers > 0);
      const digits = (n: number) => Buffer.from(torrents[n]!).toString("hex");
      const expected = [
        { infoHash: digits(0), family: kind, seeders: 1, leechers: 1, snatches: 0 },
        { infoHash: digits(0), family: other, seeders: 1, leechers: 0, snatches: 0 },
        { infoHash: digits(1), family: kind, seeders: 1, leechers: 0, snatches: 1 },
      ].sort((a, b) => (`${a.infoHash} ${a.family}` < `${b.infoHash} ${b.family}` ? -1 : 1));
      assert.deepEqual(
        withPeers.map(({ key, summary }) => ({ ...summary, infoHash: key.slice(0, 40) })),
        expected,
      );
      for (const { key, summary } of rows) {
        assert.ok(summary.seeders + summary.leechers + summary.snatches > 0, `${key} has nothing`);
      }
    },
  },
  {
    name: "a scrape keeps its order and leaves hidden rows alone",
    async run(tester, kind) {
      const torrents = [7, 8, 9].map(testInfoHash) as [Uint8Array, Uint8Array, Uint8Array];
      await tester.announce(torrents[0], testPeer(kind, 1));
      await tester.announce(torrents[2], testPeer(kind, 1), seeding);
      await tester.announce(torrents[2], testPeer(kind, 2), { event: completed });
      const asked = [torrents[2], torrents[1], torrents[0], torrents[2], torrents[0]];
      const one = { complete: 0, incomplete: 1, snatches: 0, partial: 0 };
      const two = { complete: 2, incomplete: 0, snatches: 1, partial: 0 };
      const none = { complete: 0, incomplete: 0, snatches: 0, partial: 0 };
      assert.deepEqual(
        await tester.scrape(asked, kind),
        [two, none, one, two, one],
        "as asked, repeated too",
      );
      assert.deepEqual(await tester.scrape(asked, kind, [0, 4]), [none, none, one, two, none], "two hidden");
      assert.deepEqual((await tester.scrape(asked, otherKind(kind)))[0], two, "over the other family");
    },
  },
];
