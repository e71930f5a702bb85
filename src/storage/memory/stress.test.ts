/**
 * Threads that announce over one memory, checked word by word afterwards. CHIHAYA_STRESS=40 makes it 40 times as
 * much: tens of millions of announces, and a thousand threads killed.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkMemory } from "../../../test/support/check-memory.ts";
import { Shared, type StressShape, stressMemory } from "../../../test/support/stress.ts";
import { createRandom } from "../../lib/clock.ts";
import { releaseLocks } from "./repair.ts";

const dose = Number(process.env.CHIHAYA_STRESS ?? 1);
const threads = 3;

const shapes: (StressShape & { name: string })[] = [
  { name: "few swarms", torrents: 2, peers: 900 },
  { name: "few small swarms, with peer ids", torrents: 4, peers: 6, peerIds: true },
  { name: "many swarms", torrents: 20_000, peers: 8 },
];

describe("threads over one memory", () => {
  for (const shape of shapes) {
    test(`${shape.name}: every peer of every thread is there, and all else is whole`, async () => {
      const { memory, begin, store } = stressMemory(shape, 1);
      const running = Array.from({ length: threads }, () => begin(50_000 * dose));
      const reports = await Promise.all(running.map(({ report }) => report));
      checkMemory(memory);

      const found = new Map<string, string>();
      for (const { infoHash, family, seeders, leechers, snatches } of store.swarms()) {
        const torrent = new Int32Array(infoHash.buffer)[0]! - 1;
        if (seeders + leechers > 0)
          found.set(`${torrent} IPv${family}`, `${seeders} ${leechers} ${snatches}`);
      }
      const expected = new Map<string, string>();
      for (let torrent = 0; torrent < shape.torrents; torrent++) {
        for (const family of [4, 6] as const) {
          const sum = (role: 0 | 1) =>
            reports.reduce((n, report) => n + report!.members[family][torrent]![role], 0);
          const [seeders, leechers] = [sum(0), sum(1)];
          const snatches = reports.reduce((n, report) => n + report!.snatches[torrent]!, 0);
          if (seeders + leechers > 0)
            expected.set(`${torrent} IPv${family}`, `${seeders} ${leechers} ${snatches}`);
        }
      }
      const differ = [...new Set([...found.keys(), ...expected.keys()])]
        .filter((name) => found.get(name) !== expected.get(name))
        .map((name) => `${name}: found ${found.get(name)}, expected ${expected.get(name)}`);
      assert.deepEqual(differ.slice(0, 10), []);
    });
  }

  for (const shape of [
    ...shapes,
    { name: "a store that is full", torrents: 3000, peers: 8, maxPeers: 10_000 },
  ]) {
    test(`${shape.name}: whole while peers expire`, async () => {
      const { memory, begin, store, clock } = stressMemory(shape, 2);
      const running = Array.from({ length: threads }, (_, i) => begin(40_000 * dose, i === 0));
      await Promise.all(running.map(({ report }) => report));
      checkMemory(memory);
      clock.seconds = 5000;
      store.expire();
      clock.seconds = 6000;
      store.expire();
      assert.deepEqual(checkMemory(memory), { torrents: 0, peers: 0 });
    });
  }

  for (const shape of shapes) {
    test(`${shape.name}: whole when threads are killed, and the others go on`, async () => {
      const { memory, shared, begin, store, clock } = stressMemory(shape, 3);
      const random = createRandom(99);
      let deaths = 0;
      const running = Array.from({ length: threads }, (_, i) => begin(0, i === 0));
      for (let round = 0; round < 8 * dose; round++) {
        await Promise.all(running.map((thread) => thread.advance(200)));
        await running[0]!.advance(random.next() % 3000);
        // Two at once, so that one may wait for the other's lock.
        const killed = running.splice(0, 1 + (round % 2));
        await Promise.all(killed.map(({ worker }) => worker.terminate()));
        deaths += killed.length;
        for (const { start } of killed) releaseLocks(memory, start.owner);
        await Promise.all(running.map((thread) => thread.advance(200)));
        while (running.length < threads) running.push(begin(0, round % 3 === 0));
      }
      Atomics.store(shared, Shared.stop, 1);
      await Promise.all(running.map(({ report }) => report));
      checkMemory(memory, { deaths });
      clock.seconds = 5000;
      store.expire();
      clock.seconds = 6000;
      store.expire();
      assert.deepEqual(checkMemory(memory, { deaths }), { torrents: 0, peers: 0 });
    });
  }
});
