import assert from "node:assert/strict";
import { test } from "node:test";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { createRandom, type Random } from "../../lib/clock.ts";
import { type AccountedAnnounce, Sessions } from "./sessions.ts";

const { none, started, completed, stopped } = AnnounceEvent;
const limits = { maxRate: 1.25e9, maxGap: 3900, idle: 21 * 86_400 };
const start = 1_800_000_000;

function announce(fields: Partial<AccountedAnnounce> = {}): AccountedAnnounce {
  const defaults = { seconds: start, user: 1, torrent: 7, peerId: "-XX0001-123456789012", event: none };
  return { ...defaults, uploaded: 0, downloaded: 0, left: 1000, isForwarded: false, ...fields };
}

/** One announce of a row: the value of `uploaded`, and the event. Announces are half an hour apart. */
type Step = readonly [uploaded: number, event?: AnnounceEvent, options?: { sameTime?: boolean }];

/** The rows of clients as they are. The credits of each row add up to what the client has moved, or to less. */
const rows: readonly { name: string; steps: readonly Step[]; credits: readonly number[] }[] = [
  {
    name: "a run from its start to its end",
    steps: [[0, started], [100], [250], [400, stopped]],
    credits: [0, 100, 150, 150],
  },
  {
    name: "each announce over IPv4 and IPv6",
    steps: [[100], [100, none, { sameTime: true }], [300], [300, none, { sameTime: true }]],
    credits: [0, 0, 200, 0],
  },
  {
    name: "an announce that overtakes another",
    steps: [[100], [300], [290, none, { sameTime: true }], [400]],
    credits: [0, 200, 0, 100],
  },
  {
    name: "two announces that arrive after a later one",
    steps: [[100], [400], [200, none, { sameTime: true }], [300, none, { sameTime: true }], [500]],
    credits: [0, 300, 0, 0, 100],
  },
  {
    name: "a new run without started, with two announces in a moment",
    steps: [[1000], [10], [50, none, { sameTime: true }], [80]],
    credits: [0, 0, 0, 70],
  },
  { name: "a new run", steps: [[1000], [0, started], [50], [80]], credits: [0, 0, 50, 30] },
  { name: "a new run without started", steps: [[1000], [10], [50], [80]], credits: [0, 0, 40, 30] },
  {
    name: "two copies of a client with one peer id",
    steps: [[1000], [10], [1010], [20], [1020], [30]],
    credits: [0, 0, 10, 0, 10, 0],
  },
  {
    name: "two copies of a client that do not take turns",
    steps: [[5_000_000], [10], [20], [5_000_100], [30], [40], [5_000_200], [50], [60], [70]],
    credits: [0, 0, 10, 100, 0, 10, 100, 0, 10, 10],
  },
  {
    name: "a new run without started that reaches the old mark",
    steps: [[1000], [10], [50], [900], [1100], [1200]],
    credits: [0, 0, 40, 850, 100, 100],
  },
  {
    name: "a started that is repeated until it gets through",
    steps: [[0, started], [100], [100, started], [200]],
    credits: [0, 100, 0, 100],
  },
  {
    name: "a repeated started with a higher value",
    steps: [[0, started], [100], [150, started], [200]],
    credits: [0, 100, 50, 50],
  },
  {
    name: "the end of a run that arrives again after the next start",
    steps: [
      [500],
      [500, stopped],
      [0, started, { sameTime: true }],
      [500, stopped, { sameTime: true }],
      [20],
    ],
    credits: [0, 0, 0, 0, 20],
  },
  { name: "a session that continues after a day offline", steps: [[100], [700]], credits: [0, 600] },
];

for (const { name, steps, credits } of rows) {
  test(`credits ${name}`, () => {
    const sessions = new Sessions(limits);
    let seconds = start;
    const given = steps.map(([uploaded, event = none, { sameTime = false } = {}], index) => {
      if (index > 0 && !sameTime) seconds += 1800;
      return sessions.apply(announce({ seconds, uploaded, event })).uploaded;
    });
    assert.deepEqual(given, credits);
  });
}

test("each counter is judged by itself: a lower one costs the other nothing", () => {
  const sessions = new Sessions(limits);
  sessions.apply(announce({ uploaded: 10, downloaded: 5_228_289_362 }));
  // libtorrent's `downloaded` falls when a download ends.
  const after = sessions.apply(
    announce({ seconds: start + 1800, event: completed, uploaded: 20, downloaded: 5_228_224_536, left: 0 }),
  );
  assert.deepEqual([after.uploaded, after.downloaded], [10, 0]);
});

test("clients of other users and of other torrents are other sessions", () => {
  const sessions = new Sessions(limits);
  sessions.apply(announce({ uploaded: 100 }));
  const others = [{ user: 2 }, { torrent: 8 }, { peerId: "-XX0001-210987654321" }];
  for (const other of others) assert.equal(sessions.apply(announce({ uploaded: 900, ...other })).uploaded, 0);
  assert.equal(sessions.apply(announce({ seconds: start + 1, uploaded: 130 })).uploaded, 30);
  assert.equal(sessions.size, 4);
});

test("a claim beyond the highest rate is credited with nothing, and reported", () => {
  const sessions = new Sessions(limits);
  sessions.apply(announce());
  const lie = sessions.apply(announce({ seconds: start + 10, uploaded: 1.25e10 + 1, downloaded: 1.25e10 }));
  assert.deepEqual([lie.uploaded, lie.excessUploaded], [0, 1.25e10 + 1]);
  assert.deepEqual([lie.downloaded, lie.excessDownloaded], [1.25e10, 0]);
  assert.equal(sessions.apply(announce({ seconds: start + 20, uploaded: 1.25e10 + 5 })).uploaded, 4);
});

test("the end of a run is a duplicate for ten minutes, and only with the same counters", () => {
  const sessions = new Sessions(limits);
  sessions.apply(announce({ uploaded: 5 }));
  sessions.apply(announce({ seconds: start + 60, uploaded: 8, event: stopped }));
  const again = (seconds: number, uploaded: number) =>
    sessions.apply(announce({ seconds: start + seconds, uploaded, event: stopped }));
  assert.equal(again(660, 8).isDuplicate, true);
  assert.equal(again(661, 8).isDuplicate, false);
  assert.equal(again(662, 9).uploaded, 1);
});

test("a run that moved nothing ends once and again without harm", () => {
  const sessions = new Sessions(limits);
  sessions.apply(announce({ event: started }));
  for (let i = 0; i < 2; i++) assert.equal(sessions.apply(announce({ event: stopped })).isDuplicate, false);
});

test("a snatch needs a run that had bytes left, and that downloaded", () => {
  const snatch = (...steps: Partial<AccountedAnnounce>[]) => {
    const sessions = new Sessions(limits);
    return steps.map((step, i) => sessions.apply(announce({ seconds: start + i, ...step })).isSnatch);
  };
  const done = { event: completed, left: 0, downloaded: 1000 };
  assert.deepEqual(snatch({ event: started }, done), [false, true]);
  assert.deepEqual(snatch({ event: started }, done, done), [false, true, false], "over both families");
  assert.deepEqual(snatch(done), [false], "first sight");
  assert.deepEqual(snatch({ left: 0 }, done), [false, false], "a seeder");
  assert.deepEqual(snatch({}, { ...done, downloaded: 0 }), [false, false], "nothing was downloaded");
  assert.deepEqual(snatch({}, { left: 0, downloaded: 1000 }), [false, false], "without the event");
  const again = [
    { event: started, left: 1000, downloaded: 0 },
    { ...done, uploaded: 5 },
  ];
  assert.deepEqual(snatch({ event: started }, done, ...again), [false, true, false, true], "another run");
});

test("time of seeding counts once for a user with two clients", () => {
  const sessions = new Sessions(limits);
  const seed = (seconds: number, peerId: string, event: AnnounceEvent = none) =>
    sessions.apply(announce({ seconds: start + seconds, peerId, event, left: 0 })).seedSeconds;
  const [a, b] = ["-XX0001-aaaaaaaaaaaa", "-XX0001-bbbbbbbbbbbb"];
  const counted = [seed(0, a), seed(600, b), seed(1800, a), seed(2400, b), seed(3000, a, stopped)];
  assert.deepEqual(counted, [0, 0, 1800, 600, 600]);
});

test("time counts only between announces of an active session, and not over long silence", () => {
  const sessions = new Sessions(limits);
  const at = (seconds: number, fields: Partial<AccountedAnnounce> = {}) => {
    const { seedSeconds, leechSeconds } = sessions.apply(announce({ seconds: start + seconds, ...fields }));
    return [seedSeconds, leechSeconds];
  };
  assert.deepEqual(at(0), [0, 0]);
  assert.deepEqual(at(100, { left: 0 }), [0, 100], "downloaded until it had all");
  assert.deepEqual(at(4001, { left: 0 }), [0, 0], "a gap above the longest");
  assert.deepEqual(at(4101, { left: 0, event: stopped }), [100, 0]);
  assert.deepEqual(at(4201, { left: 0, event: started }), [0, 0], "it was stopped");
});

test("a session is forgotten when it was idle for too long, and its next announce is a first one", () => {
  const sessions = new Sessions(limits);
  sessions.apply(announce({ uploaded: 100 }));
  sessions.apply(announce({ user: 2, seconds: start + 10 }));
  sessions.expire(start + limits.idle);
  assert.equal(sessions.size, 2);
  sessions.expire(start + limits.idle + 1);
  assert.equal(sessions.size, 1);
  assert.equal(sessions.apply(announce({ seconds: start + limits.idle + 2, uploaded: 900 })).uploaded, 0);
});

test("a checkpoint continues where the sessions were", () => {
  const sessions = new Sessions(limits);
  sessions.apply(announce({ uploaded: 1000, left: 0 }));
  sessions.apply(announce({ seconds: start + 60, uploaded: 10, left: 0 }));
  sessions.apply(announce({ seconds: start + 61, user: 2, uploaded: 5, event: stopped }));
  const restored = new Sessions(limits);
  for (const block of sessions.snapshot()) restored.restore(block);
  const next = [
    announce({ seconds: start + 120, uploaded: 50, left: 0 }),
    announce({ seconds: start + 121, user: 2, uploaded: 5, event: stopped }),
    announce({ seconds: start + 122, user: 2, uploaded: 9, event: started }),
  ];
  for (const step of next) assert.deepEqual({ ...restored.apply(step) }, { ...sessions.apply(step) });
  restored.expire(start + limits.idle + 125);
  assert.equal(restored.size, 0);
});

test("a clock that is set back costs one interval of seeding time, and no bytes", () => {
  const sessions = new Sessions({ ...limits, maxRate: 100 });
  const seed = (seconds: number, uploaded: number) => {
    const { uploaded: bytes, seedSeconds } = sessions.apply(
      announce({ seconds: start + seconds, uploaded, left: 0 }),
    );
    return [bytes, seedSeconds];
  };
  assert.deepEqual(seed(0, 0), [0, 0]);
  assert.deepEqual(seed(1800, 180_000), [180_000, 1800]);
  assert.deepEqual(seed(-5000, 300_000), [120_000, 0], "set back");
  assert.deepEqual(seed(-3200, 480_000), [180_000, 1800]);
  assert.deepEqual(seed(-3201, 480_000), [0, 0], "another order is no other clock");
  assert.deepEqual(seed(-1400, 660_000), [180_000, 1800]);
});

test("a new run without started is confirmed also if the clock is set back meanwhile", () => {
  const sessions = new Sessions(limits);
  sessions.apply(announce({ uploaded: 1000 }));
  sessions.apply(announce({ seconds: start + 1800, uploaded: 10 }));
  assert.equal(sessions.apply(announce({ seconds: start - 5000, uploaded: 50 })).uploaded, 40);
});

// Clients as they are: each case is known from the reports of clients or of sites.
test("libtorrent announces to each tracker URL of the site, and by each address, with one peer id: counted once", () => {
  const sessions = new Sessions(limits);
  const credits = [0, 0, 0, 500, 500, 500].map((uploaded, i) => {
    const seconds = start + (i < 3 ? 0 : 1800);
    return sessions.apply(announce({ seconds, uploaded, event: i < 3 ? started : none })).uploaded;
  });
  assert.deepEqual(credits, [0, 0, 0, 500, 0, 0]);
});

test("qBittorrent repeats started in a running session: its bytes count, and completed without a download is no snatch", () => {
  const sessions = new Sessions(limits);
  sessions.apply(announce({ event: started }));
  sessions.apply(announce({ seconds: start + 1800, uploaded: 100 }));
  const repeated = sessions.apply(announce({ seconds: start + 3600, uploaded: 150, event: started }));
  assert.equal(repeated.uploaded, 50);
  const recheck = sessions.apply(
    announce({ seconds: start + 3700, uploaded: 150, event: completed, left: 0 }),
  );
  assert.equal(recheck.isSnatch, false);
});

test("rTorrent claims the whole size as downloaded at a cross-seed: the first announce credits nothing", () => {
  const sessions = new Sessions(limits);
  const first = sessions.apply(announce({ event: started, downloaded: 4.7e9, left: 0 }));
  assert.deepEqual([first.uploaded, first.downloaded], [0, 0]);
  const next = sessions.apply(announce({ seconds: start + 1800, uploaded: 7, downloaded: 4.7e9, left: 0 }));
  assert.deepEqual([next.uploaded, next.downloaded, next.isSnatch], [7, 0, false]);
});

test("libtorrent begins at 0 after a pause, with the same peer id: the new run counts from its start", () => {
  const sessions = new Sessions(limits);
  const steps = [
    { uploaded: 1000, downloaded: 300, event: stopped },
    { uploaded: 0, downloaded: 0, event: started },
    { uploaded: 40, downloaded: 5 },
  ];
  const credits = steps.map((step, i) => {
    const { uploaded, downloaded } = sessions.apply(announce({ seconds: start + 1800 * i, ...step }));
    return [uploaded, downloaded];
  });
  assert.deepEqual(credits, [
    [0, 0],
    [0, 0],
    [40, 5],
  ]);
});

test("a client that sends no started after a day offline continues, and one that is forgotten begins anew", () => {
  const sessions = new Sessions(limits);
  sessions.apply(announce({ uploaded: 100, event: stopped }));
  sessions.expire(start + 86_400);
  assert.equal(sessions.apply(announce({ seconds: start + 86_400, uploaded: 700 })).uploaded, 600);
});

/**
 * A client that announces to two trackers by turns. The second one dies with announces that it has not sent to the accountant, and
 * sends them when it is back; the client goes on with the first one. @returns what the client has moved, and what it is credited with
 */
function moveBetweenTrackers(random: Random, runs: number): { moved: number; credited: number } {
  const announces: AccountedAnnounce[] = [];
  let moved = 0;
  let seconds = start;
  for (let run = 0; run < runs; run++) {
    let uploaded = 0;
    const last = 2 + (random.next() % 5);
    for (let n = 0; n <= last; n++) {
      const bytes = n === 0 ? 0 : 1 + (random.next() % 1000);
      uploaded += bytes;
      moved += bytes;
      announces.push(announce({ seconds, uploaded, event: n === 0 ? started : n === last ? stopped : none }));
      seconds += n === last ? 60 : 1800;
    }
  }
  const death = random.next() % announces.length;
  const back = death + 1 + (random.next() % 6);
  const isSecond = announces.map((_, i) => (i <= death || i > back) && random.next() % 2 === 0);
  const unsent = announces.map((_, i) => i).filter((i) => isSecond[i] && i <= death);
  const late = unsent.slice(-(random.next() % 4) || unsent.length);
  const forward = (i: number) => ({ ...announces[i]!, isForwarded: true });
  const arrived = announces.flatMap((given, i) => {
    const now = late.includes(i) ? [] : [{ ...given, isForwarded: isSecond[i]! }];
    return i === back ? [...late.map(forward), ...now] : now;
  });
  if (back >= announces.length) arrived.push(...late.map(forward));
  const sessions = new Sessions(limits);
  const credited = arrived.reduce((sum, given) => sum + sessions.apply(given).uploaded, 0);
  return { moved, credited };
}

test("a tracker that dies and sends its announces hours later: every byte of the run counts once", () => {
  const random = createRandom(3);
  for (let n = 0; n < 1000; n++) {
    const { moved, credited } = moveBetweenTrackers(random, 1);
    assert.equal(credited, moved);
  }
});

test("a tracker that sends announces of several runs late: no byte counts twice, and nearly all count", () => {
  const random = createRandom(4);
  let exact = 0;
  for (let n = 0; n < 1000; n++) {
    const { moved, credited } = moveBetweenTrackers(random, 3);
    assert.ok(credited <= moved, `${credited} of ${moved}`);
    if (credited === moved) exact++;
  }
  assert.ok(exact > 850, `${exact} of 1000`);
});

test("two trackers whose clocks differ, one of them far away: every byte of a run counts once", () => {
  const random = createRandom(5);
  for (let n = 0; n < 2000; n++) {
    const skew = (random.next() % 9) - 4;
    const delay = 1 + (random.next() % 6);
    let uploaded = 0;
    const sent = Array.from({ length: 20 }, (_, i) => {
      uploaded += i === 0 ? 0 : 1 + (random.next() % 1000);
      const isForwarded = random.next() % 2 === 0;
      const seconds = start + Math.floor(i / 4) + (isForwarded ? skew : 0);
      const event = i === 0 ? started : i === 19 ? stopped : none;
      return { seconds, uploaded, event, isForwarded, arrival: i + (isForwarded ? delay : 0) };
    });
    const sessions = new Sessions(limits);
    let credited = 0;
    for (const { arrival, ...given } of sent.sort((one, other) => one.arrival - other.arrival))
      credited += sessions.apply(announce(given)).uploaded;
    assert.equal(credited, uploaded, `clocks differ by ${skew} s`);
  }
});

test("a stop that the next start has overtaken counts for its run, and does not end the next one", () => {
  const sessions = new Sessions(limits);
  sessions.apply(announce({ uploaded: 500 }));
  sessions.apply(announce({ seconds: start + 1800, uploaded: 0, event: started }));
  const late = sessions.apply(announce({ seconds: start + 1801, uploaded: 560, event: stopped }));
  assert.deepEqual([late.uploaded, late.isLate], [60, true]);
  assert.equal(sessions.apply(announce({ seconds: start + 3600, uploaded: 30 })).uploaded, 30);
});

test("two copies of a client with one peer id, in any order after the one with more: no more is credited than both have moved", () => {
  const random = createRandom(6);
  for (let n = 0; n < 500; n++) {
    const sessions = new Sessions(limits);
    const counters = [10_000 + (random.next() % 1_000_000), random.next() % 1000];
    let [moved, credited] = [0, 0];
    for (let i = 0; i < 40; i++) {
      const copy = i === 0 ? 0 : random.next() % 2;
      const bytes = random.next() % 100;
      counters[copy]! += bytes;
      moved += bytes;
      const [uploaded, downloaded] = [counters[copy]!, counters[copy]!];
      const given = sessions.apply(announce({ seconds: start + 30 * i, uploaded, downloaded }));
      assert.equal(given.uploaded, given.downloaded);
      credited += given.uploaded;
      assert.ok(credited <= moved, `${credited} of ${moved}`);
    }
  }
});

test("an announce is routine if the site has its peer, in the same role", () => {
  const sessions = new Sessions({ ...limits, active: 6600 });
  const isRoutine = (step: Partial<AccountedAnnounce>, now?: number) =>
    sessions.apply(announce(step), now).isRoutine;
  // The peers of this torrent are counted anew between 1800 and 3600 seconds after the start, and then every four hours.
  const at = (seconds: number) => ({ seconds: start + seconds });
  assert.equal(isRoutine({ ...at(0), event: started, left: 5 }), false, "a new peer");
  assert.equal(isRoutine({ ...at(60), left: 5 }), true);
  assert.equal(isRoutine({ ...at(120), left: 0 }), false, "a leecher becomes a seeder");
  assert.equal(isRoutine({ ...at(180), left: 0 }), true);
  assert.equal(isRoutine({ ...at(240), left: 0, event: stopped }), false);
  assert.equal(isRoutine({ ...at(300), left: 0 }), false, "the peer is back");
  assert.equal(isRoutine({ ...at(360), left: 0 }), true);
  assert.equal(isRoutine({ ...at(300), left: 0 }), false, "the clock was set back");
  const turns: number[] = [];
  for (let seconds = 900; seconds < 86_400; seconds += 900)
    if (!isRoutine({ ...at(seconds), left: 0 })) turns.push(seconds);
  assert.deepEqual(
    turns.map((seconds) => seconds - turns[0]!),
    [0, 14_400, 28_800, 43_200, 57_600, 72_000],
  );
  assert.equal(isRoutine({ ...at(86_400), left: 0 }, start + 87_000), false, "it was on its way for long");
  assert.equal(isRoutine({ ...at(93_001), left: 0 }), false, "the site may have taken the peer for gone");
});

test("an announce from another tracker that is older than the last one leaves the peer as it is", () => {
  const sessions = new Sessions({ ...limits, active: 6600 });
  sessions.apply(announce({ uploaded: 5, left: 0 }));
  sessions.apply(announce({ seconds: start + 900, uploaded: 9, left: 0 }));
  const late = { seconds: start + 895, uploaded: 8, left: 0, event: stopped, isForwarded: true };
  assert.equal(sessions.apply(announce(late)).isLate, true);
});
