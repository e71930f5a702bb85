import assert from "node:assert/strict";
import { test } from "node:test";
import { MapStore } from "../../test/support/map-store.ts";
import { toHex } from "../bittorrent/info-hash.ts";
import { Address } from "../ip/address.ts";
import { createRandom } from "../lib/clock.ts";
import { type RecordPage, type Records, replayAll, walk } from "./records.ts";

/** A walk of `pages` empty pages, which counts its steps. */
function countingWalk(pages: number): { step: (cursor?: string) => RecordPage; steps: string[] } {
  const steps: string[] = [];
  const step = (cursor = "0"): RecordPage => {
    steps.push(cursor);
    const next = Number(cursor) + 1;
    return { torrents: [], peers: [], next: next < pages ? `${next}` : undefined };
  };
  return { step, steps };
}

test("a walk makes a step only when its page is asked for, and goes on from any cursor", async () => {
  const { step, steps } = countingWalk(5);
  const pages = walk(step, "2");
  assert.deepEqual(steps, []);
  assert.equal((await pages.next()).value?.next, "3");
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(steps, ["2"], "a reader that waits holds it up");
  await pages.return(undefined);
  assert.deepEqual(steps, ["2"], "and may leave");
  for await (const _ of walk(step, "3"));
  assert.deepEqual(steps, ["2", "3", "4"]);
});

test("the event loop has a turn between two steps, and between a step and its replay", async () => {
  const { step, steps } = countingWalk(4);
  const turns: string[] = [];
  let isOver = false;
  const turn = () => {
    turns.push("turn");
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  const to: Pick<Records, "replay"> = {
    replay: () => {
      turns.push("replay");
      return { taken: 2, expired: 1, refused: 0 };
    },
  };
  const result = await replayAll(
    to,
    walk((cursor) => {
      turns.push("step");
      return step(cursor);
    }),
  );
  isOver = true;
  assert.deepEqual(result, { taken: 8, expired: 4, refused: 0 });
  assert.equal(steps.length, 4);
  assert.equal(turns.join(" ").match(/(step|replay) (?=step|replay)/), null, turns.join(" "));
});

test("the torrents with the most seeders, and a copy of everything, as the documentation has them", async () => {
  const clock = { seconds: 10_000, unixSeconds: 0 };
  const create = (): MapStore => new MapStore({ clock, random: createRandom(1), peerLifetime: 1800 });
  const store = create();
  const other = create();
  const address = Address.parse("192.0.2.1");
  for (let torrent = 1; torrent <= 60; torrent++) {
    const infoHash = new Uint8Array(20).fill(torrent);
    const flags = { seeder: true, partial: false, snatched: false };
    for (let n = 1; n <= torrent; n++) {
      const peer = { infoHash, address, port: n, peerId: undefined, age: n === 1 ? 1800 : 5, ...flags };
      store.records.replay({ peers: [peer] });
    }
  }

  const top: { infoHash: string; seeders: number }[] = [];
  for await (const page of walk((cursor) => store.records.torrents(cursor))) {
    for (const { infoHash, seeders } of page.torrents) top.push({ infoHash: toHex(infoHash), seeders });
    top.sort((a, b) => b.seeders - a.seeders).splice(10);
  }
  const { taken, expired, refused } = await replayAll(
    other.records,
    walk((cursor) => store.records.export(cursor)),
  );

  assert.deepEqual(
    [top.length, top[0], top[9]?.seeders],
    [10, { infoHash: "3c".repeat(20), seeders: 59 }, 50],
  );
  assert.deepEqual([taken, expired, refused], [1770, 0, 0]);
  assert.deepEqual(other.statistics(), store.statistics());
});
