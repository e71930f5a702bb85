import assert from "node:assert/strict";
import { test } from "node:test";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { createRandom } from "../../lib/clock.ts";
import { packFactors } from "../factors.ts";
import { Field, Mark, Records, recordWords } from "../record.ts";
import { Batch } from "./batch.ts";
import { OcelotSessions } from "./ocelot-sessions.ts";
import { type Session, SessionTable } from "./session-table.ts";
import { type AccountedAnnounce, type AccountingRules, Sessions } from "./sessions.ts";

const { none, started, completed, stopped } = AnnounceEvent;
const start = 1_800_000_000;
const peersTimeout = 7200;
const limits = { maxRate: 1.25e9, maxGap: 3900, idle: 21 * 86_400 };

function announce(fields: Partial<AccountedAnnounce>): AccountedAnnounce {
  const defaults = { seconds: start, user: 1, torrent: 7, peerId: "-XX0001-123456789012", event: none };
  return { ...defaults, uploaded: 0, downloaded: 0, left: 1000, isForwarded: false, ...fields };
}

/** Where Ocelot has a client before an announce: in no list, in one, or in both, with other counters. */
const placements = {
  nowhere: [],
  leechers: [announce({ uploaded: 2000, downloaded: 2000, left: 5 })],
  seeders: [announce({ uploaded: 1000, downloaded: 1000, left: 0 })],
  both: [
    announce({ uploaded: 1000, downloaded: 1000, left: 0 }),
    announce({ uploaded: 2000, downloaded: 2000, left: 5 }),
  ],
} as const;

type List = "leechers" | "seeders";

/**
 * What Ocelot does: the list whose counters are compared, whether it is a snatch, and the counters in each list afterwards (`new`, `old`,
 * or none). Source: WhatCD/Ocelot, `worker::announce`.
 */
const machine: readonly [
  placement: keyof typeof placements,
  left: 0 | 5,
  event: AnnounceEvent,
  compared: List | "none",
  isSnatch: boolean,
  leechers: "new" | "old" | "",
  seeders: "new" | "old" | "",
][] = [
  ["nowhere", 5, none, "none", false, "new", ""],
  ["nowhere", 5, started, "none", false, "new", ""],
  ["nowhere", 5, completed, "none", false, "new", ""],
  ["nowhere", 5, stopped, "none", false, "", ""],
  ["nowhere", 0, none, "none", false, "", "new"],
  ["nowhere", 0, started, "none", false, "", "new"],
  ["nowhere", 0, completed, "none", true, "", "new"],
  ["nowhere", 0, stopped, "none", false, "", ""],
  ["leechers", 5, none, "leechers", false, "new", ""],
  ["leechers", 5, started, "none", false, "new", ""],
  ["leechers", 5, completed, "leechers", false, "new", ""],
  ["leechers", 5, stopped, "leechers", false, "", ""],
  ["leechers", 0, none, "leechers", false, "", "new"],
  ["leechers", 0, started, "none", false, "", "new"],
  ["leechers", 0, completed, "leechers", true, "", "new"],
  ["leechers", 0, stopped, "leechers", false, "", ""],
  ["seeders", 5, none, "none", false, "new", "old"],
  ["seeders", 5, started, "none", false, "new", "old"],
  ["seeders", 5, completed, "none", false, "new", "old"],
  ["seeders", 5, stopped, "none", false, "", "old"],
  ["seeders", 0, none, "seeders", false, "", "new"],
  ["seeders", 0, started, "none", false, "", "new"],
  ["seeders", 0, completed, "seeders", false, "", "new"],
  ["seeders", 0, stopped, "seeders", false, "", ""],
  ["both", 5, none, "leechers", false, "new", "old"],
  ["both", 5, started, "none", false, "new", "old"],
  ["both", 5, completed, "leechers", false, "new", "old"],
  ["both", 5, stopped, "leechers", false, "", "old"],
  ["both", 0, none, "seeders", false, "old", "new"],
  ["both", 0, started, "none", false, "old", "new"],
  ["both", 0, completed, "leechers", true, "", "old"],
  ["both", 0, stopped, "seeders", false, "old", ""],
];

/** Counters by their relation to those of the list that is compared. */
const counters: readonly ((mark: number) => [uploaded: number, downloaded: number])[] = [
  (mark) => [mark, mark],
  (mark) => [mark + 30, mark + 4],
  (mark) => [mark - 30, mark - 4],
  (mark) => [mark + 30, mark - 4],
  (mark) => [mark - 30, mark + 4],
];

function sessionsOf(rules: AccountingRules): Session[] {
  const table = new SessionTable();
  for (const block of rules.snapshot()) table.restore(block);
  const sessions: Session[] = [];
  for (let slot = table.first; slot !== 0; slot = table.after(slot))
    sessions.push(structuredClone(table.read(slot)));
  return sessions;
}

/** Returns the counters of a client in both lists, by what further announces would be credited. */
function countersIn(rules: OcelotSessions): Record<List, number | undefined> {
  const high = 100_000;
  const probe = (left: number) => {
    const copy = new OcelotSessions(peersTimeout);
    for (const block of rules.snapshot()) copy.restore(block);
    const { uploaded } = copy.apply(announce({ uploaded: high, downloaded: high, left }));
    return uploaded === 0 ? undefined : high - uploaded;
  };
  const leechers = probe(5);
  // Without an entry among the seeders, Ocelot looks among the leechers.
  const isSeeder = sessionsOf(rules).some((session) => session.isSeeder || session.isBoth);
  return { leechers, seeders: isSeeder ? probe(0) : undefined };
}

for (const [placement, left, event, compared, isSnatch, leechers, seeders] of machine)
  test(`Ocelot, a client in ${placement}, left ${left}, event ${event}`, () => {
    const old = { leechers: 2000, seeders: 1000 };
    for (const of of counters) {
      const rules = new OcelotSessions(peersTimeout);
      for (const before of placements[placement]) rules.apply(before);
      const mark = compared === "none" ? 1500 : old[compared];
      const [uploaded, downloaded] = of(mark);
      const credited =
        compared !== "none" && uploaded >= mark && downloaded >= mark
          ? [uploaded - mark, downloaded - mark]
          : [0, 0];
      const addition = rules.apply(announce({ seconds: start + 600, event, left, uploaded, downloaded }));
      assert.deepEqual(
        [addition.uploaded, addition.downloaded, addition.isSnatch],
        [...credited, isSnatch],
        `${uploaded}, ${downloaded}`,
      );
      const after = { new: uploaded, old: undefined, "": undefined };
      assert.deepEqual(countersIn(rules), {
        leechers: leechers === "old" ? 2000 : after[leechers],
        seeders: seeders === "old" ? 1000 : after[seeders],
      });
    }
  });

type Step = readonly [uploaded: number, event?: AnnounceEvent, fields?: Partial<AccountedAnnounce>];

/** Traces of clients, with what is credited by the rules of the tracker's own, and by Ocelot's. */
const traces: readonly { name: string; steps: readonly Step[]; own: number; ocelot: number }[] = [
  {
    name: "a run from its start to its end",
    steps: [[0, started], [100], [250], [400, stopped]],
    ...{ own: 400, ocelot: 400 },
  },
  {
    name: "each announce over IPv4 and IPv6",
    steps: [[100], [100, none, { seconds: 0 }], [300], [300, none, { seconds: 0 }]],
    ...{ own: 200, ocelot: 200 },
  },
  {
    name: "an announce that overtakes another",
    steps: [[100], [300], [290, none, { seconds: 0 }], [400]],
    ...{ own: 300, ocelot: 310 },
  },
  { name: "a new run", steps: [[1000], [0, started], [50], [80]], ...{ own: 80, ocelot: 80 } },
  { name: "a new run without started", steps: [[1000], [10], [50], [80]], ...{ own: 70, ocelot: 70 } },
  {
    name: "two copies of a client with one peer id",
    steps: [[1000], [10], [1010], [20], [1020], [30]],
    ...{ own: 20, ocelot: 2000 },
  },
  {
    name: "downloaded falls at the end of the download",
    steps: [
      [10, none, { downloaded: 5_228_289_362 }],
      [20, completed, { downloaded: 5_228_224_536, left: 0 }],
    ],
    ...{ own: 10, ocelot: 0 },
  },
  {
    name: "a started that is repeated until it gets through",
    steps: [[0, started], [100], [100, started], [200]],
    ...{ own: 200, ocelot: 200 },
  },
  {
    name: "a repeated started with a higher value",
    steps: [[0, started], [100], [150, started], [200]],
    ...{ own: 200, ocelot: 150 },
  },
  {
    name: "the end of a run that arrives again after the next start",
    steps: [[500], [500, stopped], [0, started, { seconds: 0 }], [500, stopped, { seconds: 0 }]],
    ...{ own: 0, ocelot: 500 },
  },
  {
    name: "an announce after a pause that is longer than peers_timeout",
    steps: [[100], [300, none, { seconds: 86_400 }]],
    ...{ own: 200, ocelot: 0 },
  },
  { name: "a rate that no client reaches", steps: [[0], [1e15]], ...{ own: 0, ocelot: 1e15 } },
];

function creditOf(rules: AccountingRules, steps: readonly Step[]): number {
  let seconds = start;
  let sum = 0;
  for (const [uploaded, event = none, { seconds: pause = 1800, ...fields } = {}] of steps) {
    seconds += pause;
    rules.expire(seconds);
    sum += rules.apply(announce({ ...fields, seconds, uploaded, event })).uploaded;
  }
  return sum;
}

for (const { name, steps, own, ocelot } of traces)
  test(`${name}: ${own} bytes by the own rules, ${ocelot} by Ocelot's`, () => {
    assert.equal(creditOf(new Sessions(limits), steps), own);
    assert.equal(creditOf(new OcelotSessions(peersTimeout), steps), ocelot);
  });

const snatches: readonly { name: string; steps: readonly Step[]; own: number; ocelot: number }[] = [
  {
    name: "a download that is completed",
    steps: [
      [0, started],
      [0, completed, { left: 0, downloaded: 1000 }],
    ],
    ...{ own: 1, ocelot: 1 },
  },
  {
    name: "completed again by the seeder",
    steps: [
      [0, started],
      [0, completed, { left: 0, downloaded: 1000 }],
      [0, completed, { left: 0, downloaded: 1000 }],
    ],
    ...{ own: 1, ocelot: 1 },
  },
  {
    name: "completed by a client that is new to the tracker",
    steps: [[0, completed, { left: 0, downloaded: 1000 }]],
    ...{ own: 0, ocelot: 1 },
  },
  {
    name: "completed without a byte downloaded",
    steps: [
      [0, started],
      [0, completed, { left: 0 }],
    ],
    ...{ own: 0, ocelot: 1 },
  },
];

for (const { name, steps, own, ocelot } of snatches)
  test(`${name}: ${own} by the own rules, ${ocelot} by Ocelot's`, () => {
    const count = (rules: AccountingRules) =>
      steps.filter(
        ([uploaded, event = none, fields]) => rules.apply(announce({ ...fields, uploaded, event })).isSnatch,
      ).length;
    assert.equal(count(new Sessions(limits)), own);
    assert.equal(count(new OcelotSessions(peersTimeout)), ocelot);
  });

test("what counts under Ocelot's rules: normal, freeleech, neutral leech, and a token", () => {
  const cases = [
    { up: 100, down: 100, marks: 0, credited: [7000, 3000], token: 0 },
    { up: 100, down: 0, marks: 0, credited: [7000, 0], token: 0 },
    { up: 0, down: 0, marks: 0, credited: [0, 0], token: 0 },
    { up: 100, down: 0, marks: Mark.token, credited: [7000, 0], token: 30 },
    { up: 0, down: 0, marks: Mark.token, credited: [0, 0], token: 0 },
  ];
  for (const { up, down, marks, credited, token } of cases) {
    const rules = new OcelotSessions(peersTimeout);
    const records = new Records(new ArrayBuffer(4 * recordWords), 0, 1);
    const batch = new Batch(0);
    for (const [uploaded, downloaded] of [
      [10, 10],
      [80, 40],
    ] as const) {
      records.words.fill(0);
      records.words[Field.user] = records.words[Field.torrent] = 1;
      records.words[Field.factors] = packFactors({ up, down });
      records.words[Field.marks] = marks;
      records.complete(0, rules.apply(announce({ uploaded, downloaded })));
      batch.add(records, 0);
    }
    const [history] = batch.histories;
    assert.deepEqual(
      [history!.creditedUploaded, history!.creditedDownloaded, history!.tokenDownloaded],
      [...credited, token],
    );
    assert.deepEqual([history!.rawUploaded, history!.rawDownloaded], [70, 30], "for the balance");
  }
});

test("clients that do not announce are forgotten, each list by itself", () => {
  const rules = new OcelotSessions(peersTimeout);
  rules.apply(announce({ uploaded: 10, left: 0 }));
  rules.apply(announce({ peerId: "b".repeat(20), seconds: start + 50 }));
  rules.apply(announce({ uploaded: 20, left: 5, seconds: start + 100 }));
  assert.equal(rules.size, 2);
  rules.expire(start + peersTimeout + 60);
  assert.equal(rules.size, 1);
  assert.deepEqual(countersIn(rules), { leechers: 20, seeders: undefined });
  rules.expire(start + peersTimeout + 100);
  assert.equal(rules.size, 1);
  rules.expire(start + peersTimeout + 101);
  assert.equal(rules.size, 0);
});

test("a checkpoint restores Ocelot's lists, and either rules read those of the other", () => {
  const random = createRandom(3);
  const rules = new OcelotSessions(peersTimeout);
  const own = new Sessions({ maxRate: 1e15, maxGap: 3900, idle: 21 * 86_400 });
  const next = (i: number) =>
    announce({
      user: random.next() % 20,
      seconds: start + i,
      uploaded: random.next() % 1000,
      downloaded: random.next() % 1000,
      left: random.next() % 2,
      event: [none, none, started, completed, stopped][random.next() % 5]!,
    });
  for (let i = 0; i < 500; i++) {
    const one = next(i);
    rules.apply(one);
    own.apply(one);
  }
  const copy = new OcelotSessions(peersTimeout);
  for (const block of rules.snapshot()) copy.restore(block);
  for (let i = 500; i < 1000; i++) {
    const one = next(i);
    assert.deepEqual({ ...copy.apply(one) }, { ...rules.apply(one) });
  }
  const fromOwn = new OcelotSessions(peersTimeout);
  for (const block of own.snapshot()) fromOwn.restore(block);
  const active = sessionsOf(own).filter(({ isActive }) => isActive);
  assert.equal(fromOwn.size, active.length);
  const fromOcelot = new Sessions({ maxRate: 1e15, maxGap: 3900, idle: 21 * 86_400 });
  for (const block of rules.snapshot()) fromOcelot.restore(block);
  assert.equal(fromOcelot.size, rules.size);
});
