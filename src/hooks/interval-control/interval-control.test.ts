import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { announceRequest, announceResponse } from "../../../test/support/requests.ts";
import type { AnnounceResponse } from "../../bittorrent/announce.ts";
import type { AnnounceStep } from "../../middleware/hook.ts";
import { Step } from "../../storage/peer-store.ts";
import { createIntervalControl, type IntervalControlOptions } from "./interval-control.ts";

const plain: IntervalControlOptions = {
  shortest: 600,
  longest: 3600,
  fewPeers: 10,
  manyPeers: 1000,
  jitter: 0,
};
const infoHash = "0123456789abcdef0123456789abcdef01234567";

interface Swarm {
  complete?: number;
  incomplete?: number;
  interval?: number;
  minInterval?: number;
  peerId?: string;
  step?: Step;
}

/** The response for a client of such a swarm. The store fills the counts at its own pace. */
function ask(options: Partial<IntervalControlOptions>, swarm: Swarm, later = false) {
  const { complete = 0, incomplete = 0, interval = 1800, minInterval = 900 } = swarm;
  const count = (response: AnnounceResponse): void => {
    Object.assign(response, { complete, incomplete });
  };
  const store: AnnounceStep = (_request, response) =>
    later ? Promise.resolve().then(() => count(response)) : count(response);
  const response = announceResponse();
  response.reset(interval, minInterval);
  const request = announceRequest(infoHash, swarm.peerId ?? "-TR4060-6wfG2wk6wWLc");
  const step = createIntervalControl({ ...plain, ...options }).aroundAnnounce!(store);
  const waiting = step(request, response, swarm.step ?? Step.both);
  return { waiting, response };
}

describe("interval control", () => {
  for (const [peers, interval] of [
    [1, 600],
    [10, 600],
    [100, 2100],
    [316, 2850],
    [1000, 3600],
    [50_000, 3600],
  ] as const) {
    test(`a swarm of ${peers}`, () => {
      assert.equal(ask({}, { incomplete: peers }).response.interval, interval);
      assert.equal(ask({}, { incomplete: 1, complete: peers - 1 }).response.interval, interval);
    });
  }

  test("a swarm in which nobody downloads keeps its interval, within the bounds", () => {
    assert.equal(ask({}, { complete: 1 }).response.interval, 1800);
    assert.equal(ask({}, { complete: 50_000 }).response.interval, 1800);
    assert.equal(ask({}, { complete: 1, interval: 60 }).response.interval, 600);
    assert.equal(ask({}, { complete: 1, interval: 7200 }).response.interval, 3600);
  });

  test("the minimum interval never exceeds the interval", () => {
    const { response } = ask({}, { incomplete: 1 });
    assert.deepEqual([response.interval, response.minInterval], [600, 600]);
    assert.equal(ask({}, { incomplete: 5000 }).response.minInterval, 900);
  });

  test("waits for a store that responds asynchronously", async () => {
    const { waiting, response } = ask({}, { incomplete: 100 }, true);
    assert.equal(response.interval, 1800);
    await waiting;
    assert.equal(response.interval, 2100);
  });

  test("without counts the interval stays", () => {
    assert.equal(ask({}, { step: Step.apply }).response.interval, 1800);
  });

  for (const peers of [1, 7, 100_000]) {
    test(`jitter of a swarm of ${peers}: up to all of it, the same each time`, () => {
      const most = 300;
      const options = { jitter: most };
      const base = ask({}, { incomplete: peers }).response.interval;
      const seen = new Set<number>();
      for (let n = 0; n < 3000; n++) {
        // The last four bytes of a peer id do not count.
        const peerId = `-TR4060-${String(n * 7919).padStart(8, "0")}wWLc`;
        const added = ask(options, { incomplete: peers, peerId }).response.interval - base;
        assert.equal(ask(options, { incomplete: peers, peerId }).response.interval - base, added);
        assert.ok(added >= 0 && added <= most, `${added}`);
        seen.add(added);
      }
      assert.ok(seen.has(0) && seen.has(most) && seen.size > most * 0.9, `${seen.size} different`);
    });
  }
});
