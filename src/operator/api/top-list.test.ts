import assert from "node:assert/strict";
import { test } from "node:test";
import type { TorrentRecord } from "../../storage/records.ts";
import { packTorrents } from "../swarms/packed-torrents.ts";
import type { TopQuery } from "../swarms/swarm-methods.ts";
import { TopLists } from "./top-list.ts";

const query: TopQuery = { order: "seeders", minPeers: 0, prefix: "", after: undefined, limit: 100 };

function hashOf(n: number): string {
  return n.toString(16).padStart(40, "0");
}

function torrent(n: number): TorrentRecord {
  const infoHash = Buffer.from(hashOf(n), "hex");
  return { infoHash, seeders: 5000 - n, leechers: 0, partial: 0, snatches: 0, peers4: 0, peers6: 0 };
}

/** A store of `count` torrents, which notes the passes over it. */
function startLists(count: number) {
  const clock = { seconds: 1000, unixSeconds: 0 };
  const passes: (readonly TopQuery[])[] = [];
  let failure: Error | undefined;
  const top = async (queries: readonly TopQuery[]) => {
    passes.push(queries);
    await new Promise((resolve) => setImmediate(resolve));
    if (failure) throw failure;
    return queries.map(({ after, limit }) => {
      const from = after === undefined ? 0 : 5000 - after.value + 1;
      const length = Math.min(limit, count - from);
      return packTorrents(
        Array.from({ length }, (_, i) => torrent(from + i)),
        length,
      );
    });
  };
  const fail = (error?: Error): void => {
    failure = error;
  };
  return { lists: new TopLists({ top }, clock), clock, passes, fail };
}

test("one pass serves all pages of the first thousand for ten seconds", async () => {
  const { lists, clock, passes } = startLists(2500);
  const seen: string[] = [];
  let after: TopQuery["after"];
  for (let page = 0; page < 10; page++) {
    clock.seconds += 0.5;
    const { torrents, next } = await lists.read({ ...query, after });
    seen.push(...torrents.map(({ infoHash }) => infoHash));
    after = next;
  }
  assert.equal(passes.length, 1);
  for (; after !== undefined; ) {
    const { torrents, next } = await lists.read({ ...query, limit: 300, after });
    seen.push(...torrents.map(({ infoHash }) => infoHash));
    after = next;
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 2500 }, (_, n) => hashOf(n)),
  );
  const before = passes.length;
  assert.equal((await lists.read(query)).age, 5 - 0.5);
  clock.seconds += 10;
  assert.equal((await lists.read(query)).age, 0);
  assert.equal(passes.length, before + 1);
});

test("requests at the same time share a pass, and different lists share the next one", async () => {
  const { lists, passes } = startLists(10);
  const pages = await Promise.all([
    lists.read(query),
    lists.read({ ...query, limit: 5 }),
    ...["a", "b", "c"].map((prefix) => lists.read({ ...query, prefix })),
  ]);
  assert.deepEqual(
    pages.map(({ torrents }) => torrents.length),
    [10, 5, 10, 10, 10],
  );
  assert.deepEqual(
    passes.map((queries) => queries.length),
    [1, 3],
  );
});

test("a pass that fails is not kept", async () => {
  const { lists, passes, fail } = startLists(10);
  fail(new Error("no"));
  await Promise.all([1, 2].map(() => assert.rejects(lists.read(query), /no/)));
  fail();
  assert.equal((await lists.read(query)).torrents.length, 10);
  assert.equal(passes.length, 2);
});
