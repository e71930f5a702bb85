import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { createRandom } from "../../lib/clock.ts";
import { type AccountedAnnounce, Sessions } from "./sessions.ts";

const { none, started } = AnnounceEvent;
const start = 1_800_000_000;
const limits = { maxRate: 1000, maxGap: 3900, idle: 86_400 };

function announce(fields: Partial<AccountedAnnounce>): AccountedAnnounce {
  return {
    ...{ seconds: start, user: 1, torrent: 1, peerId: "-XX0001-aaaaaaaaaaaa", event: none },
    ...{ uploaded: 0, downloaded: 0, left: 1, isForwarded: false, ...fields },
  };
}

describe("a client that lies about its counters", () => {
  test("gets nothing for an impossible amount, and what it moves afterwards", () => {
    const sessions = new Sessions(limits);
    sessions.apply(announce({ event: started }));
    const lie = sessions.apply(announce({ seconds: start + 100, uploaded: 100_001, downloaded: 7 }));
    assert.deepEqual([lie.uploaded, lie.excessUploaded, lie.downloaded], [0, 100_001, 7]);
    assert.equal(sessions.apply(announce({ seconds: start + 200, uploaded: 100_501 })).uploaded, 500);
  });

  test("never gets more than max_rate, whatever it claims", () => {
    const random = createRandom(11);
    for (let client = 0; client < 50; client++) {
      const sessions = new Sessions(limits);
      let [seconds, credited] = [start, 0];
      sessions.apply(announce({ seconds, uploaded: random.next() }));
      const first = seconds;
      for (let n = 0; n < 200; n++) {
        seconds += random.next() % 300;
        const claims = [random.next() % 100_000, random.next() * 2 ** 20, Number.MAX_SAFE_INTEGER, 0];
        const event = random.next() % 5 === 0 ? started : none;
        credited += sessions.apply(
          announce({ seconds, event, uploaded: claims[random.next() % 4]! }),
        ).uploaded;
      }
      // Two announces in one second may count as one second each.
      assert.ok(credited <= limits.maxRate * (seconds - first + 200), `client ${client}`);
    }
  });
});

describe("a cloned peer id", () => {
  test("of another user is another client", () => {
    const sessions = new Sessions(limits);
    const credits = [1, 2, 1, 2].map((user, n) => {
      const uploaded = n < 2 ? 0 : 100 * user;
      return sessions.apply(announce({ user, seconds: start + 600 * n, uploaded })).uploaded;
    });
    assert.deepEqual(credits, [0, 0, 100, 200]);
  });

  test("of the same user that announces in any order adds nothing to what both copies have moved", () => {
    const random = createRandom(3);
    for (let round = 0; round < 200; round++) {
      const sessions = new Sessions({ ...limits, maxRate: 1e9 });
      const copies = [5_000_000, 0].map((counter) => ({ moved: 0, counter }));
      let credited = 0;
      for (let n = 0; n < 60; n++) {
        const copy = copies[n === 0 ? 0 : random.next() % 2]!;
        const bytes = random.next() % 10_000;
        copy.moved += bytes;
        copy.counter += bytes;
        const seconds = start + 30 * n;
        credited += sessions.apply(announce({ seconds, uploaded: copy.counter })).uploaded;
      }
      const moved = copies[0]!.moved + copies[1]!.moved;
      assert.ok(credited <= moved, `round ${round}: ${credited} of ${moved}`);
    }
  });
});
