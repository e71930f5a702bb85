import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "../../lib/clock.ts";
import type { TorrentRecord } from "../../storage/records.ts";
import { unpackTorrents } from "./packed-torrents.ts";
import type { TopQuery } from "./swarm-methods.ts";
import { TopTorrents } from "./top-torrents.ts";

function torrents(count: number): TorrentRecord[] {
  const random = createRandom(7);
  return Array.from({ length: count }, () => {
    const infoHash = Uint8Array.from({ length: 20 }, () => random.next() & 255);
    const [seeders, leechers, snatches] = [random.next() % 7, random.next() % 7, random.next() % 50];
    return { infoHash, seeders, leechers, partial: 0, snatches, peers4: seeders + leechers, peers6: 0 };
  });
}

const all: TopQuery = { order: "peers", minPeers: 0, prefix: "", after: undefined, limit: 40 };

/** Collects as the reader of a store does, from a record that the store uses again. */
function collect(records: readonly TorrentRecord[], changes: Partial<TopQuery>) {
  const top = new TopTorrents({ ...all, ...changes });
  const reused = { ...records[0]!, infoHash: new Uint8Array(20) };
  for (const record of records) {
    const { infoHash } = reused;
    infoHash.set(record.infoHash);
    top.add(Object.assign(reused, record, { infoHash }));
    if (top.isFull) top.cut();
  }
  return unpackTorrents(top.finish());
}

/** Sorts all of them. */
function expected(records: readonly TorrentRecord[], value: (record: TorrentRecord) => number): string[] {
  const rows = records.map((record) => ({
    value: value(record),
    hex: Buffer.from(record.infoHash).toString("hex"),
  }));
  return rows.sort((a, b) => b.value - a.value || (a.hex < b.hex ? -1 : 1)).map(({ hex }) => hex);
}

for (const order of ["peers", "seeders", "leechers", "snatches"] as const) {
  test(`pages by ${order} are the sorted list, without gaps and repetitions`, () => {
    const records = torrents(500);
    const value = (record: TorrentRecord) =>
      order === "peers" ? record.seeders + record.leechers : record[order];
    const found: string[] = [];
    for (let after: TopQuery["after"]; ; ) {
      const page = collect(records, { order, after });
      found.push(...page.map(({ infoHash }) => infoHash));
      const last = page.at(-1);
      if (last === undefined) break;
      const { seeders, leechers } = last;
      after = { value: order === "peers" ? seeders + leechers : last[order], infoHash: last.infoHash };
    }
    assert.deepEqual(found, expected(records, value));
  });
}

test("ascending, descending and repeated records give the same", () => {
  const records = torrents(300).sort((a, b) => a.seeders - b.seeders);
  const wanted = collect(records, { order: "seeders" });
  assert.deepEqual(collect([...records].reverse(), { order: "seeders" }), wanted);
  assert.deepEqual(collect([...records, ...records, ...records], { order: "seeders" }), wanted);
});

test("a prefix of any number of digits, and the fewest peers", () => {
  const records = torrents(3000);
  const hex = Buffer.from(records[5]!.infoHash).toString("hex");
  for (const digits of [1, 2, 3, 4, 39]) {
    const prefix = hex.slice(0, digits);
    const wanted = expected(
      records.filter(({ infoHash }) => Buffer.from(infoHash).toString("hex").startsWith(prefix)),
      ({ seeders, leechers }) => seeders + leechers,
    );
    assert.deepEqual(
      collect(records, { prefix, limit: 1000 }).map(({ infoHash }) => infoHash),
      wanted,
    );
  }
  const few = collect(records, { minPeers: 11, order: "snatches", limit: 1000 });
  assert.equal(few.length, records.filter(({ seeders, leechers }) => seeders + leechers >= 11).length);
});
