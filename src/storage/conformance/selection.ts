import assert from "node:assert/strict";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { toHex } from "../../bittorrent/info-hash.ts";
import { Step, type SwarmKind } from "../peer-store.ts";
import { addressKinds, type ConformanceGroup, seeding } from "./group.ts";
import {
  endpoint,
  otherKind,
  presetCounts,
  type StoreTester,
  testInfoHash,
  testPeer,
} from "./store-tester.ts";

const torrent = testInfoHash(2);

/** Puts seeders and leechers of a kind, numbered on from `first`, and names them. */
async function fill(tester: StoreTester, kind: SwarmKind, first: number, seeders: number, leechers: number) {
  const names = { seeders: [] as string[], leechers: [] as string[] };
  for (let n = 0; n < seeders + leechers; n++) {
    const peer = testPeer(kind, first + n);
    await tester.announce(torrent, peer, n < seeders ? seeding : {});
    (n < seeders ? names.seeders : names.leechers).push(endpoint(peer));
  }
  return names;
}

function assertDistinct(peers: readonly string[]): void {
  assert.equal(new Set(peers).size, peers.length, `a peer is listed twice: ${peers.join(" ")}`);
}

function assertSubset(peers: readonly string[], of: readonly string[], why: string): void {
  assertDistinct(peers);
  for (const peer of peers) assert.ok(of.includes(peer), `${why}: ${peer} is not among them`);
}

/** Who gets which peers. */
export const selectionGroups: readonly ConformanceGroup[] = [
  {
    name: "numwant and the room of the list cap it",
    async run(tester, kind) {
      const { seeders, leechers } = await fill(tester, kind, 1, 4, 8);
      const all = [...seeders, ...leechers];
      const watcher = testPeer(kind, 100);
      for (const numWant of [1, 3, 4, 5, 11, 12, 13, 200]) {
        const { peers } = await tester.announce(torrent, watcher, { numWant });
        assertSubset(peers, all, `numwant ${numWant}`);
        assert.equal(peers.length, Math.min(numWant, all.length), `numwant ${numWant}`);
      }
      const { peers } = await tester.announce(torrent, watcher, { numWant: 10, limit: 6 });
      assert.equal(peers.length, 6, "a list with less room than numwant");
      const room = await tester.announce(torrent, watcher, { numWant: 6, limit: 10 });
      assert.equal(room.peers.length, 6, "a list with more room than numwant");
      const seeder = await tester.announce(torrent, watcher, { numWant: 5, left: 0n });
      assert.equal(seeder.peers.length, 5, "as a seeder");
    },
  },
  {
    name: "the announcer is never in its own list",
    async run(tester, kind) {
      for (let n = 1; n <= 6; n++) {
        const peer = testPeer(kind, n);
        const options = n > 3 ? seeding : {};
        await tester.announce(torrent, peer, options);
        for (let time = 0; time < 20; time++) {
          const { peers } = await tester.announce(torrent, peer, { ...options, numWant: 1 + (time % 6) });
          assert.ok(!peers.includes(endpoint(peer)) || n === 1, `peer ${n} got itself`);
        }
      }
      const first = testPeer(kind, 1);
      for (let time = 0; time < 20; time++) {
        const { peers } = await tester.announce(torrent, first, { numWant: 5 });
        assert.equal(peers.length, 5, "its place is not lost");
        assertSubset(
          peers,
          [2, 3, 4, 5, 6].map((n) => endpoint(testPeer(kind, n))),
          "the others",
        );
      }
    },
  },
  {
    name: "the only peer of a swarm gets itself",
    kinds: addressKinds,
    async run(tester, kind) {
      const peer = testPeer(kind, 1);
      for (const options of [{}, {}, seeding, { numWant: 1, left: 0n }]) {
        const response = await tester.announce(torrent, peer, options);
        assert.deepEqual(response.peers, [endpoint(peer)]);
        assert.equal(response.complete + response.incomplete, 1, "it is counted once");
      }
      await tester.announce(torrent, testPeer(kind, 2), seeding);
      assert.deepEqual((await tester.announce(torrent, peer, seeding)).peers, [], "one seeder of two");
    },
  },
  {
    name: "seeders get leechers only",
    kinds: addressKinds,
    async run(tester, kind) {
      const { leechers } = await fill(tester, kind, 1, 6, 3);
      const { peers } = await tester.announce(torrent, testPeer(kind, 1), seeding);
      assert.deepEqual(peers.toSorted(), leechers.sort(), "not filled up with seeders");
      const stranger = await tester.announce(torrent, testPeer(kind, 50), {
        event: AnnounceEvent.completed,
      });
      assert.deepEqual(stranger.peers.toSorted(), leechers, "completed, whatever is left");
    },
  },
  {
    name: "leechers get seeders first, then leechers",
    async run(tester, kind) {
      const { seeders, leechers } = await fill(tester, kind, 1, 4, 6);
      const watcher = testPeer(kind, 5); // the first leecher
      for (const numWant of [2, 4, 7, 9]) {
        const response = await tester.announce(torrent, watcher, { numWant });
        const { peers } = response;
        assert.ok([0, Math.min(numWant, 4)].includes(response.seeders), `numwant ${numWant}: seeders`);
        assertSubset(peers.slice(0, 4), seeders, `numwant ${numWant}: the first four`);
        assertSubset(peers.slice(4), leechers.slice(1), `numwant ${numWant}: the rest`);
        assert.equal(peers.length, numWant);
      }
      await tester.announce(torrent, testPeer(otherKind(kind), 1), seeding);
      const all = await tester.announce(torrent, watcher, { numWant: 20 });
      assert.equal(all.complete, 5, "seeders of the torrent");
      assert.ok([0, 4].includes(all.seeders), "seeders of the list");
      const asSeeder = await tester.announce(torrent, watcher, { step: Step.select, left: 0n });
      assert.equal(asSeeder.seeders, 0, "a seeder's list has none");
    },
  },
  {
    name: "peers are taken from a random start",
    async run(tester, kind) {
      const { seeders, leechers } = await fill(tester, kind, 1, 20, 30);
      const watcher = testPeer(kind, 100);
      const seen = { asLeecher: new Set<string>(), asSeeder: new Set<string>(), rest: new Set<string>() };
      const starts = new Set<string>();
      for (let time = 0; time < 400; time++) {
        const some = { numWant: 3, step: Step.select };
        const { peers } = await tester.announce(torrent, watcher, some);
        for (const peer of peers) seen.asLeecher.add(peer);
        starts.add(peers[0]!);
        const seeder = await tester.announce(torrent, watcher, { ...some, left: 0n });
        for (const peer of seeder.peers) seen.asSeeder.add(peer);
        const more = await tester.announce(torrent, watcher, { ...some, numWant: 25 });
        for (const peer of more.peers.slice(20)) seen.rest.add(peer);
      }
      assert.deepEqual([...seen.asLeecher].sort(), seeders.sort(), "every seeder is listed at some time");
      assert.deepEqual([...seen.asSeeder].sort(), leechers.sort(), "every leecher is listed to seeders");
      assert.deepEqual([...seen.rest].sort(), leechers, "every leecher is listed after the seeders");
      assert.ok(starts.size > 5, "lists begin in many places");
    },
  },
  {
    name: "stopped and numwant 0 get no peers",
    async run(tester, kind) {
      const alone = await tester.announce(torrent, testPeer(kind, 1), { numWant: 0, limit: 10 });
      assert.deepEqual([alone.peers, alone.incomplete], [[], 1], "numwant 0 of the only peer");
      await fill(tester, kind, 1, 2, 3);
      const room = { limit: 10, otherLimit: 10 };
      const none = await tester.announce(torrent, testPeer(kind, 9), { ...room, numWant: 0 });
      assert.deepEqual([none.peers, none.complete, none.incomplete], [[], 2, 4], "numwant 0");
      const last = await tester.announce(torrent, testPeer(kind, 9), {
        ...room,
        event: AnnounceEvent.stopped,
      });
      assert.deepEqual([last.peers, last.complete, last.incomplete], [[], 2, 3], "stopped");
    },
  },
  {
    name: "the other family fills what is left",
    kinds: addressKinds,
    async run(tester, kind) {
      const other = otherKind(kind);
      const own = await fill(tester, kind, 1, 1, 2);
      const others = await fill(tester, other, 1, 2, 4);
      const watcher = testPeer(kind, 50);
      const ask = (options: object) => tester.announce(torrent, watcher, { otherLimit: 50, ...options });

      const some = await ask({ numWant: 6 });
      assert.deepEqual(
        some.peers.toSorted(),
        [...own.seeders, ...own.leechers].sort(),
        "its own family first",
      );
      assertSubset(some.others.slice(0, 2), others.seeders, "then seeders of the other");
      assertSubset(some.others.slice(2), others.leechers, "then leechers of the other");
      assert.equal(some.others.length, 3);
      assert.deepEqual([some.complete, some.incomplete], [3, 7], "counts are of both");

      assert.deepEqual((await ask({ numWant: 3 })).others, [], "none where its own family is enough");
      assert.equal((await ask({ numWant: 50 })).others.length, 6, "all of them");
      const capped = await ask({ numWant: 50, otherLimit: 2 });
      assertSubset(capped.others, others.seeders, "seeders first where the other list is short");
      assert.equal(capped.others.length, 2);
      const small = await ask({ numWant: 5, limit: 1 });
      assert.deepEqual([small.peers.length, small.others.length], [1, 4], "where its own list is short");
      assert.deepEqual((await ask({ numWant: 50, otherLimit: 0 })).others, [], "none where there is no room");

      const seeder = await ask({ numWant: 50, left: 0n });
      assert.deepEqual(seeder.others.toSorted(), others.leechers.sort(), "a seeder gets leechers only");
      const stranger = await tester.announce(testInfoHash(3), testPeer(other, 1));
      assert.deepEqual(stranger.others, []);
      const alone = await tester.announce(testInfoHash(3), watcher, { otherLimit: 5 });
      assert.deepEqual(alone.peers, [], "the other family's peer is enough");
      const noRoom = await tester.announce(testInfoHash(3), watcher);
      assert.deepEqual(noRoom.peers, [endpoint(watcher)], "alone where that one is not asked for");
      assert.deepEqual(alone.others, [endpoint(testPeer(other, 1))]);
    },
  },
  {
    name: "without the apply step nothing changes",
    async run(tester, kind) {
      const step = Step.select;
      await fill(tester, kind, 1, 1, 2);
      const stranger = await tester.announce(torrent, testPeer(kind, 9), { step });
      assert.deepEqual(
        [stranger.complete, stranger.incomplete, stranger.peers.length],
        [1, 2, 3],
        "response",
      );
      for (const options of [
        { event: AnnounceEvent.stopped },
        { event: AnnounceEvent.completed },
        { event: AnnounceEvent.paused },
        seeding,
      ]) {
        const response = await tester.announce(torrent, testPeer(kind, 2), { ...options, step });
        assert.deepEqual([response.complete, response.incomplete, response.snatches], [1, 2, 0]);
      }
      assert.deepEqual(await tester.scrapeOne(torrent, kind), {
        complete: 1,
        incomplete: 2,
        snatches: 0,
        partial: 0,
      });
      await tester.announce(testInfoHash(4), testPeer(kind, 1), { step });
      assert.equal((await tester.statistics()).swarms, 1, "no swarm comes into being");
      tester.advance(tester.environment.peerLifetime - 1);
      await tester.announce(torrent, testPeer(kind, 2), { step });
      tester.advance(61);
      assert.equal(await tester.expire(), 3, "no peer is refreshed");
    },
  },
  {
    name: "without the select step the response does not change",
    async run(tester, kind) {
      const step = Step.apply;
      await fill(tester, kind, 1, 1, 1);
      const response = await tester.announce(torrent, testPeer(kind, 5), { step, otherLimit: 5 });
      assert.deepEqual(response, { ...presetCounts, peers: [], seeders: 0, others: [], peerIds: undefined });
      await tester.expectCounts(torrent, kind, 1, 2, "it is applied");
      await tester.announce(torrent, testPeer(kind, 5), { step, event: AnnounceEvent.completed });
      await tester.expectCounts(torrent, kind, 2, 1, "completed is applied");
      await tester.announce(torrent, testPeer(kind, 5), { step, event: AnnounceEvent.stopped });
      await tester.expectCounts(torrent, kind, 1, 1, "stopped is applied");
    },
  },
  {
    name: "peer ids stand beside their peers",
    needs: "peerIds",
    async run(tester, kind) {
      const ids = new Map<string, string>();
      for (let n = 1; n <= 40; n++) {
        const peer = testPeer(kind, n);
        await tester.announce(torrent, peer, n % 3 === 0 ? seeding : {});
        ids.set(endpoint(peer), toHex(peer.id));
      }
      for (let n = 2; n <= 40; n += 5) await tester.announce(torrent, testPeer(kind, n), seeding);
      for (let n = 4; n <= 40; n += 6) {
        await tester.announce(torrent, testPeer(kind, n), { event: AnnounceEvent.stopped });
        ids.delete(endpoint(testPeer(kind, n)));
      }
      const restarted = { ...testPeer(kind, 1), id: testPeer(kind, 99).id };
      await tester.announce(torrent, restarted);
      ids.set(endpoint(restarted), toHex(restarted.id));

      const watcher = testPeer(kind, 100);
      const options = { wantPeerIds: true, step: Step.select };
      for (const numWant of [50, 10]) {
        const { peers, peerIds } = await tester.announce(torrent, watcher, { ...options, numWant });
        assert.deepEqual(
          peerIds,
          peers.map((peer) => ids.get(peer)),
          `numwant ${numWant}`,
        );
      }
      assert.equal(tester.store.keepsPeerIds, true, "the store says that it keeps them");
      const without = await tester.announce(torrent, watcher, { step: Step.select });
      assert.equal(without.peerIds, undefined, "not where they are not wanted");
      const alone = await tester.announce(testInfoHash(3), watcher, { wantPeerIds: true });
      assert.deepEqual(alone.peerIds, [toHex(watcher.id)], "of the only peer");
    },
  },
];
