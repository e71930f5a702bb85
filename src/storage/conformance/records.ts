import assert from "node:assert/strict";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { copy20, toHex } from "../../bittorrent/info-hash.ts";
import { Address } from "../../ip/address.ts";
import { type PeerRecord, type RecordPage, type Records, walk } from "../records.ts";
import { type ConformanceGroup, seeding } from "./group.ts";
import {
  endpoint,
  otherKind,
  type StoreTester,
  type TestPeer,
  testInfoHash,
  testPeer,
} from "./store-tester.ts";

const torrent = testInfoHash(5);
const { completed, paused, stopped } = AnnounceEvent;
/** Records in one page at most: what a step may cost. */
const mostInPage = 8192;

/** A torrent's counts and a peer's state, as one line each, by the torrent's and the peer's name. */
interface Contents {
  torrents: Record<string, object>;
  peers: Record<string, object>;
  pages: number;
}

function recordsOf(tester: StoreTester): Records {
  assert.ok(tester.store.records, "a group about records runs only with records");
  return tester.store.records;
}

/**
 * Walks to the end and copies what comes. A record that comes again must not contradict the one before it.
 * @param between  runs after each page but the last
 */
async function contentsOf(
  step: (cursor?: string) => RecordPage | Promise<RecordPage>,
  between: (page: number) => unknown = () => undefined,
): Promise<Contents> {
  const contents: Contents = { torrents: {}, peers: {}, pages: 0 };
  for await (const page of walk(step)) {
    let inPage = 0;
    for (const { infoHash, peersWeb = 0, ...counts } of page.torrents) {
      contents.torrents[toHex(infoHash)] = { ...counts, peersWeb };
      inPage++;
    }
    for (const { infoHash, address, port, peerId, ...state } of page.peers) {
      const id = peerId === undefined ? {} : { id: toHex(peerId) };
      contents.peers[`${toHex(infoHash)} ${address}:${port}`] = { ...state, ...id };
      inPage++;
    }
    assert.ok(inPage <= mostInPage, `${inPage} records in one page; a step is at most ${mostInPage}`);
    assert.match(page.next ?? "end", /^[!-~]+$/, "a cursor is printable");
    contents.pages++;
    assert.ok(contents.pages < 100_000, "a walk ends");
    if (page.next !== undefined) await between(contents.pages);
  }
  return contents;
}

async function exported(tester: StoreTester): Promise<Contents> {
  const records = recordsOf(tester);
  return await contentsOf((cursor) => records.export(cursor));
}

/** A record as another store would give it: seen just now, a leecher. */
export function peerRecord(
  infoHash: Uint8Array,
  peer: TestPeer,
  changes: Partial<PeerRecord> = {},
): PeerRecord {
  const address = new Address();
  address.copyFrom(peer.address);
  const flags = { seeder: false, partial: false, snatched: false };
  return {
    infoHash: infoHash.slice(),
    address,
    port: peer.port,
    peerId: peer.id,
    age: 0,
    ...flags,
    ...changes,
  };
}

/** Yields records one after the other as the same object, which is overwritten at the end. */
function* reused(records: readonly PeerRecord[]): Generator<PeerRecord> {
  const one = peerRecord(torrent, testPeer(4, 1));
  const id = new Uint8Array(20);
  for (const { infoHash, address, peerId, ...rest } of records) {
    Object.assign(one, rest);
    copy20(infoHash, 0, one.infoHash);
    one.address.copyFrom(address);
    if (peerId !== undefined) copy20(peerId, 0, id);
    one.peerId = peerId === undefined ? undefined : id;
    yield one;
  }
  one.infoHash.fill(0xa5);
  one.port = 0;
  id.fill(0xa5);
}

async function replay(tester: StoreTester, peers: readonly PeerRecord[]): Promise<object> {
  return { ...(await recordsOf(tester).replay({ peers: reused(peers) })) };
}

/** The contract of `PeerStore.records`. */
export const recordGroups: readonly ConformanceGroup[] = [
  {
    name: "records list torrents with the counts of both families",
    ofRecords: true,
    async run(tester, family) {
      const other = otherKind(family);
      const records = recordsOf(tester);
      const walked = () => contentsOf((cursor) => records.torrents(cursor));
      assert.deepEqual((await walked()).torrents, {}, "an empty store");
      await tester.announce(torrent, testPeer(family, 1));
      await tester.announce(torrent, testPeer(family, 2), seeding);
      await tester.announce(torrent, testPeer(family, 3), { event: paused });
      await tester.announce(torrent, testPeer(other, 4), { event: completed });
      await tester.announce(testInfoHash(6), testPeer(other, 1));
      await tester.announce(testInfoHash(7), testPeer(family, 1), { event: completed });
      await tester.announce(testInfoHash(7), testPeer(family, 1), { event: stopped });
      await tester.announce(testInfoHash(8), testPeer(family, 1));
      await tester.announce(testInfoHash(8), testPeer(family, 1), { event: stopped });
      const counts = (
        seeders: number,
        leechers: number,
        partial: number,
        snatches: number,
        own: number,
        rest: number,
      ) => {
        const [peers4, peers6] = family === 4 ? [own, rest] : [rest, own];
        return { seeders, leechers, partial, snatches, peers4, peers6, peersWeb: 0 };
      };
      const expected = {
        [toHex(torrent)]: counts(2, 2, 1, 1, 3, 1),
        [toHex(testInfoHash(6))]: counts(0, 1, 0, 0, 0, 1),
        [toHex(testInfoHash(7))]: counts(0, 0, 0, 1, 0, 0),
      };
      const { torrents, peers } = await walked();
      assert.deepEqual(torrents, expected);
      assert.deepEqual(peers, {}, "without their peers");
      assert.deepEqual((await exported(tester)).torrents, expected, "an export has them too");
    },
  },
  {
    name: "torrents are found by their infohashes",
    ofRecords: true,
    async run(tester, family) {
      const find = async (...infoHashes: Uint8Array[]) => {
        const given = infoHashes.map((infoHash) => Buffer.from(infoHash));
        const found = await recordsOf(tester).find(given);
        for (const bytes of given) bytes.fill(0xa5);
        return Array.from(found, ({ infoHash, peersWeb = 0, ...counts }) => ({
          infoHash: toHex(infoHash),
          ...counts,
          peersWeb,
        }));
      };
      for (let n = 1; n <= 30; n++)
        await tester.announce(testInfoHash(n), testPeer(family, n), n % 2 ? {} : seeding);
      await tester.announce(testInfoHash(3), testPeer(otherKind(family), 1), { event: completed });
      await tester.announce(testInfoHash(4), testPeer(family, 4), { event: stopped });
      const [peers4, peers6] = [1, 1];
      assert.deepEqual(await find(testInfoHash(99), testInfoHash(3)), [
        {
          infoHash: toHex(testInfoHash(3)),
          seeders: 1,
          leechers: 1,
          partial: 0,
          snatches: 1,
          peers4,
          peers6,
          peersWeb: 0,
        },
      ]);
      const all = await find(...Array.from({ length: 30 }, (_, n) => testInfoHash(30 - n)));
      const hashes = all.map(({ infoHash }) => Buffer.from(infoHash, "hex").toString());
      const expected = Array.from({ length: 30 }, (_, n) => 30 - n).filter((n) => n !== 4);
      assert.deepEqual(hashes.map(Number), expected, "in the order of the request, without the empty one");
      assert.deepEqual(await find(), []);
    },
  },
  {
    name: "records list peers with what the store knows of them",
    ofRecords: true,
    async run(tester, family) {
      const records = recordsOf(tester);
      const [first, second, third] = [testPeer(family, 1), testPeer(family, 2), testPeer(family, 3)];
      const foreign = testPeer(otherKind(family), 4);
      await tester.announce(torrent, first, { event: completed });
      await tester.announce(testInfoHash(6), first);
      tester.advance(300);
      await tester.announce(torrent, second, { event: paused });
      tester.advance(60);
      await tester.announce(torrent, third);
      await tester.announce(torrent, foreign, seeding);
      const state = (age: number, changes: object = {}) => ({
        seeder: false,
        partial: false,
        snatched: false,
        age,
        ...changes,
      });
      const name = (peer: TestPeer, infoHash = torrent) => `${toHex(infoHash)} ${endpoint(peer)}`;
      const expected: Record<string, object> = {
        [name(first)]: state(360, { seeder: true, snatched: true }),
        [name(second)]: state(60, { partial: true }),
        [name(third)]: state(0),
        [name(foreign)]: state(0, { seeder: true }),
      };
      const ofTorrent = await contentsOf((cursor) => records.peers(torrent, cursor));
      const withoutIds = (peers: Record<string, object>) =>
        Object.fromEntries(
          Object.entries(peers).map(([key, { id: _, ...rest }]: [string, { id?: string }]) => [key, rest]),
        );
      assert.deepEqual(withoutIds(ofTorrent.peers), expected, "of one torrent");
      assert.deepEqual(Object.keys(ofTorrent.torrents), [toHex(torrent)]);
      expected[name(first, testInfoHash(6))] = state(360);
      assert.deepEqual(withoutIds((await exported(tester)).peers), expected, "of all");
      const nothing = await contentsOf((cursor) => records.peers(testInfoHash(9), cursor));
      assert.deepEqual(nothing, { torrents: {}, peers: {}, pages: 1 }, "of a torrent that is not there");
    },
  },
  {
    name: "records have the peer ids",
    ofRecords: true,
    needs: "peerIds",
    async run(tester, family) {
      const [first, second] = [testPeer(family, 1), testPeer(family, 2)];
      await tester.announce(torrent, first);
      await replay(tester, [
        peerRecord(torrent, second),
        peerRecord(testInfoHash(6), second, { peerId: undefined }),
      ]);
      const ids = Object.values((await exported(tester)).peers).map((peer) => (peer as { id?: string }).id);
      assert.deepEqual(
        ids.sort(),
        [toHex(first.id), toHex(second.id), undefined],
        "undefined where it is not known",
      );
      await tester.announce(testInfoHash(6), first);
      const listed = (peer: number) =>
        tester.announce(testInfoHash(6), testPeer(family, peer), { wantPeerIds: true, ...seeding });
      assert.deepEqual(
        (await listed(3)).peers,
        [endpoint(first)],
        "one without an id is not listed with ids",
      );
      assert.equal(
        (await tester.announce(testInfoHash(6), testPeer(family, 4))).peers.length,
        3,
        "but without",
      );
      await tester.announce(testInfoHash(6), second);
      assert.equal((await listed(3)).peers.length, 3, "and with its id once it has announced");
    },
  },
  {
    name: "a walk meets all that stays while others come and go",
    ofRecords: true,
    async run(tester, family) {
      const records = recordsOf(tester);
      const big = 4000;
      const torrents = 1500;
      const all = [
        ...Array.from({ length: big }, (_, n) =>
          peerRecord(torrent, testPeer(family, n), { seeder: n % 3 === 0, peerId: undefined }),
        ),
        ...Array.from({ length: torrents }, (_, n) => peerRecord(testInfoHash(100 + n), testPeer(family, 1))),
      ];
      for (let at = 0; at < all.length; at += 1000) await replay(tester, all.slice(at, at + 1000));
      let round = 0;
      const disturb = async (page: number) => {
        if (page > 10) return;
        // Role changes, departures and newcomers; a peer whose number is divisible by ten does not change.
        for (let i = 0; i < 40; i++, round++) {
          const n = (round * 37) % big;
          if (n % 10 === 0) await tester.announce(torrent, testPeer(family, n), n % 20 === 0 ? seeding : {});
          else await tester.announce(torrent, testPeer(family, n), { event: stopped });
          await tester.announce(torrent, testPeer(family, big + round));
          await tester.announce(testInfoHash(10_000 + round), testPeer(family, 1));
          if (i % 10 !== 0)
            await tester.announce(testInfoHash(100 + round), testPeer(family, 1), { event: stopped });
        }
      };
      const ofTorrent = await contentsOf((cursor) => records.peers(torrent, cursor), disturb);
      const met = await contentsOf((cursor) => records.export(cursor), disturb);
      const listed = await contentsOf((cursor) => records.torrents(cursor), disturb);
      for (let n = 0; n < big; n += 10) {
        const name = `${toHex(torrent)} ${endpoint(testPeer(family, n))}`;
        assert.ok(ofTorrent.peers[name] && met.peers[name], `peer ${n} has been there all the time`);
      }
      for (let n = round; n < torrents; n++) {
        const infoHash = toHex(testInfoHash(100 + n));
        assert.ok(
          met.torrents[infoHash] && listed.torrents[infoHash],
          `torrent ${n} has been there all the time`,
        );
      }
      assert.ok(met.pages > 1 && ofTorrent.pages > 1, "it is walked in steps");
    },
  },
  {
    name: "an unknown cursor is refused",
    ofRecords: true,
    async run(tester) {
      const records = recordsOf(tester);
      for (const cursor of ["", "no cursor", "0.0.0.0.0", "ffffffff"]) {
        for (const step of [
          async () => records.torrents(cursor),
          async () => records.export(cursor),
          async () => records.peers(torrent, cursor),
        ])
          await assert.rejects(step, { name: "RangeError" }, JSON.stringify(cursor));
      }
    },
  },
  {
    name: "what is exported can be replayed",
    ofRecords: true,
    async run(tester, family) {
      const other = otherKind(family);
      for (let n = 1; n <= 40; n++) {
        await tester.announce(torrent, testPeer(family, n), n % 3 === 0 ? { event: completed } : {});
        await tester.announce(
          testInfoHash(6 + n),
          testPeer(other, n),
          n % 2 === 0 ? { event: paused } : seeding,
        );
        tester.advance(7);
      }
      await tester.announce(testInfoHash(90), testPeer(family, 1), { event: completed });
      await tester.announce(testInfoHash(90), testPeer(family, 1), { event: stopped });
      const { torrents, peers } = await exported(tester);
      assert.deepEqual([Object.keys(torrents).length, Object.keys(peers).length], [42, 80]);
      const records = recordsOf(tester);
      const pages: RecordPage[] = [];
      for await (const page of walk((cursor) => records.export(cursor))) pages.push(page);
      for (const infoHash of Object.keys(torrents)) await tester.store.remove(Buffer.from(infoHash, "hex"));
      assert.deepEqual((await exported(tester)).torrents, {});
      for (const times of ["once", "twice"]) {
        let taken = 0;
        for (const page of pages) taken += (await records.replay(page)).taken;
        assert.equal(taken, 80);
        const again = await exported(tester);
        assert.deepEqual(again.torrents, torrents, `replayed ${times}: torrents with their snatches`);
        assert.deepEqual(again.peers, peers, `replayed ${times}: peers with their ages`);
      }
      const row = await tester.scrapeOne(torrent, family);
      assert.equal(row.snatches, 13);
      await tester.announce(torrent, testPeer(family, 3), { event: completed });
      assert.equal((await tester.scrapeOne(torrent, family)).snatches, 13, "it has completed before");
    },
  },
  {
    name: "a newer announce stays when an older one is replayed",
    ofRecords: true,
    async run(tester, family) {
      const peer = testPeer(family, 1);
      const state = async () => {
        const [found] = Object.values((await exported(tester)).peers) as Partial<PeerRecord>[];
        const { seeder, partial, snatched, age } = found!;
        return { seeder, partial, snatched, age };
      };
      await tester.announce(torrent, peer, { event: paused });
      tester.advance(20);
      const one = { taken: 1, expired: 0, refused: 0 };
      assert.deepEqual(await replay(tester, [peerRecord(torrent, peer, { age: 100, seeder: true })]), one);
      assert.deepEqual(
        await state(),
        { seeder: false, partial: true, snatched: false, age: 20 },
        "an older one",
      );
      await replay(tester, [peerRecord(torrent, peer, { age: 20, seeder: true })]);
      assert.deepEqual(await state(), { seeder: false, partial: true, snatched: false, age: 20 }, "as old");
      await replay(tester, [peerRecord(torrent, peer, { age: 8, seeder: true })]);
      assert.deepEqual(
        await state(),
        { seeder: true, partial: false, snatched: false, age: 8 },
        "a newer one",
      );
      await replay(tester, [peerRecord(torrent, peer, { age: 500, snatched: true })]);
      assert.deepEqual(
        await state(),
        { seeder: true, partial: false, snatched: true, age: 8 },
        "that it completed stays true",
      );
      await tester.announce(torrent, peer, { event: completed });
      assert.equal(
        (await tester.scrapeOne(torrent, family)).snatches,
        0,
        "and is counted by the torrent's record",
      );
      const snatches = async (count: number) => {
        await recordsOf(tester).replay({ torrents: [{ infoHash: torrent, snatches: count }] });
        return (await tester.scrapeOne(torrent, family)).snatches;
      };
      assert.deepEqual(
        [await snatches(5), await snatches(3), await snatches(6)],
        [5, 5, 6],
        "the larger number",
      );
    },
  },
  {
    name: "replayed peers expire in their time",
    ofRecords: true,
    async run(tester, family) {
      const lifetime = tester.environment.peerLifetime;
      const ages = [0, lifetime - 120, lifetime - 60, lifetime, 10 * lifetime];
      const result = await replay(
        tester,
        ages.map((age, n) => peerRecord(torrent, testPeer(family, n + 1), { age })),
      );
      assert.deepEqual(result, { taken: 3, expired: 2, refused: 0 });
      await tester.expectCounts(torrent, family, 0, 3, "what is too old is left out");
      tester.advance(60);
      assert.equal(await tester.expire(), 1);
      tester.advance(lifetime - 120);
      assert.equal(await tester.expire(), 1);
      await tester.expectCounts(torrent, family, 0, 1, "the youngest");
      tester.advance(60);
      assert.equal(await tester.expire(), 1);
      assert.equal((await tester.statistics()).swarms, 0);
    },
  },
  {
    name: "a full store refuses replayed peers",
    ofRecords: true,
    needs: "capacity",
    async run(tester, family) {
      const capacity = tester.environment.capacity!;
      const peers = Array.from({ length: capacity + 3 }, (_, n) =>
        peerRecord(torrent, testPeer(family, n + 1)),
      );
      assert.deepEqual(await replay(tester, peers), { taken: capacity, expired: 0, refused: 3 });
      const { leechers, refused } = await tester.statistics();
      assert.deepEqual({ leechers, refused }, { leechers: capacity, refused: 3 });
      await replay(tester, [peerRecord(testInfoHash(6), testPeer(family, 1))]);
      assert.equal((await tester.statistics()).swarms, 1, "and leaves no torrent without peers");
    },
  },
  {
    name: "records that cannot be peers or torrents are refused",
    ofRecords: true,
    async run(tester, family) {
      const peer = testPeer(family, 1);
      for (const changes of [
        { port: 0 },
        { port: 65_536 },
        { port: 1.5 },
        { age: -1 },
        { age: Number.NaN },
        { infoHash: new Uint8Array(32) },
        { peerId: new Uint8Array(19) },
      ] as const) {
        const wrong = async () => recordsOf(tester).replay({ peers: [peerRecord(torrent, peer, changes)] });
        await assert.rejects(wrong, { name: "RangeError" }, JSON.stringify(changes));
      }
      for (const wrong of [
        { infoHash: new Uint8Array(19), snatches: 1 },
        { infoHash: torrent, snatches: -1 },
        { infoHash: torrent, snatches: Number.NaN },
      ])
        await assert.rejects(async () => recordsOf(tester).replay({ torrents: [wrong] }), {
          name: "RangeError",
        });
      assert.equal((await tester.statistics()).swarms, 0);
    },
  },
];
