import assert from "node:assert/strict";
import { test } from "node:test";
import { MapSessionTable } from "../../../test/support/map-session-table.ts";
import type { AnnounceEvent } from "../../bittorrent/event.ts";
import { createRandom, type Random } from "../../lib/clock.ts";
import { hashKeys } from "../../lib/keyed-hash.ts";
import { none, type Session, SessionTable } from "./session-table.ts";
import { type AccountedAnnounce, Sessions, toWords } from "./sessions.ts";

const start = 1_800_000_000;
const limits = { maxRate: 1e15, maxGap: 3900, idle: 20_000, active: 6600 };
const peerIdOf = (number: number) => `-XX0001-${`${number}`.padStart(12, "0")}`;

/** Announces as hostile and unlucky clients send them: equal, lower and huge counters, and a clock that is set back. */
function createAnnounces(random: Random): () => AccountedAnnounce {
  const below = (limit: number) => random.next() % limit;
  const counters = [
    () => below(4),
    () => below(1000),
    () => 2 ** 53 - 1 - below(3),
    () => random.next() * 2 ** below(21),
  ];
  const counter = () => counters[below(40) < 36 ? below(2) : below(4)]!();
  let seconds = start;
  return () => {
    seconds += below(50) === 0 ? below(9000) - 4000 : below(20);
    return {
      ...{ seconds: seconds - below(10) * below(3), user: 1 + below(6), torrent: 2 ** 32 - 1 - below(4) },
      ...{ peerId: peerIdOf(below(3)), event: [0, 0, 0, 0, 1, 2, 3][below(7)] as AnnounceEvent },
      ...{ uploaded: counter(), downloaded: counter(), left: below(2), isForwarded: below(4) === 0 },
    };
  };
}

/** Returns what makes a difference to the rules. The time of low values means nothing without one. */
function essenceOf(session: Session, withTimes = true): unknown {
  const { seedUntil, leechUntil, ...others } = structuredClone(session);
  if (others.uploadedLow === none && others.downloadedLow === none) others.lowSeconds = 0;
  return withTimes ? { ...others, seedUntil, leechUntil } : others;
}

/** Compares all sessions. @param order  whether they must have the same order too */
function assertSame(table: SessionTable, model: MapSessionTable, withTimes = true, order = true): void {
  assert.equal(table.size, model.size);
  const slots: number[] = [];
  for (const [slot, { user, torrent, peerId }] of model.entries) {
    const found = table.find(user, torrent, peerId);
    assert.notEqual(found, 0);
    slots.push(found);
    assert.deepEqual(essenceOf(table.read(found), withTimes), essenceOf(model.read(slot), withTimes));
  }
  const given: number[] = [];
  for (let slot = table.first; slot !== 0; slot = table.after(slot)) given.push(slot);
  if (!order) slots.sort((a, b) => a - b);
  assert.deepEqual(order ? given : given.sort((a, b) => a - b), slots);
}

/** Returns a copy of a model, as it is now. */
function copyOf(model: MapSessionTable): MapSessionTable {
  const copy = new MapSessionTable();
  for (const [slot, { user, torrent, peerId }] of model.entries) {
    copy.find(user, torrent, peerId);
    const added = copy.add();
    copy.session = model.read(slot);
    copy.write(added);
  }
  return copy;
}

for (const [name, isColliding] of [
  ["random hashes", false],
  ["all keys in one chain", true],
] as const)
  test(`the rules on packed memory and on a Map, with snapshots, restarts and expiry: ${name}`, () => {
    for (let seed = 1; seed <= 3; seed++) {
      const random = createRandom(seed);
      const next = createAnnounces(random);
      const keys = Int32Array.from({ length: hashKeys(7) }, () => (isColliding ? 0 : random.next()));
      let table = new SessionTable(keys);
      let packed = new Sessions(limits, table);
      const model = new MapSessionTable();
      const plain = new Sessions(limits, model.table);
      let last = start;
      const step = () => {
        const announce = next();
        last = announce.seconds;
        const now = last + (random.next() % 3) * 500;
        assert.deepEqual({ ...packed.apply(announce, now) }, { ...plain.apply(announce, now) });
        if (random.next() % 100 > 0) return;
        const at = last + limits.idle - (random.next() % 2000);
        packed.expire(at);
        plain.expire(at);
      };
      for (let round = 0; round < 40; round++) {
        for (let n = random.next() % 100; n > 0; n--) step();
        assertSame(table, model);
        const expected = copyOf(model);
        const restored = new SessionTable(keys);
        const isRestart = random.next() % 4 === 0;
        const isAborted = random.next() % 4 === 0;
        const mostAnnounces = isRestart ? 1 : random.next() % 40;
        for (const block of table.snapshot(48 * (1 + (random.next() % 4)))) {
          restored.restore(block);
          for (let n = random.next() % (1 + mostAnnounces); n > 0 && !isRestart; n--) step();
          if (isAborted && random.next() % 4 === 0) break;
        }
        if (restored.size < expected.size && isAborted) continue;
        // The times of a pair may be of later announces of its other sessions.
        assertSame(restored, expected, isRestart, isRestart);
        if (!isRestart) continue;
        table = restored;
        packed = new Sessions(limits, table);
      }
      assertSame(table, model);
    }
  });

test("thousands of sessions come and go, and each is found", () => {
  const table = new SessionTable();
  const sessions = new Sessions(limits, table);
  const count = 5000;
  const announce = (number: number, seconds: number, uploaded: number) =>
    sessions.apply({
      ...{ seconds, user: 1 + (number % 7), torrent: number, peerId: peerIdOf(number), event: 0 },
      ...{ uploaded, downloaded: 0, left: 0, isForwarded: false },
    });
  for (let round = 0; round < 3; round++) {
    const seconds = start + round * 100_000;
    for (let n = 0; n < count; n++) announce(n, seconds + n, n);
    for (let n = 0; n < count; n++) assert.equal(announce(n, seconds + count + n, n + 5).uploaded, 5);
    assert.equal(sessions.size, count);
    sessions.expire(seconds + count + count / 2 + limits.idle);
    assert.equal(sessions.size, count / 2);
    assert.equal(table.find(1 + ((count / 2 - 1) % 7), count / 2 - 1, toWords(peerIdOf(count / 2 - 1))), 0);
    sessions.expire(seconds + 3 * count + limits.idle);
    assert.deepEqual([sessions.size, table.first, table.last], [0, 0, 0]);
  }
});

test("a snapshot goes on behind a session that an announce changes in its place, and behind one that expires", () => {
  const table = new SessionTable();
  const sessions = new Sessions(limits, table);
  const announce = (user: number, seconds: number, fields: Partial<AccountedAnnounce> = {}) =>
    sessions.apply({
      ...{ seconds: start + seconds, user, torrent: 1, peerId: peerIdOf(1), event: 0, uploaded: 0 },
      ...{ downloaded: 0, left: 0, isForwarded: false, ...fields },
    });
  for (let user = 1; user <= 20; user++) announce(user, user);
  const restored = new SessionTable();
  let isFirst = true;
  for (const block of table.snapshot(48)) {
    restored.restore(block);
    if (!isFirst) continue;
    isFirst = false;
    const late = announce(6, -100, { uploaded: 7, isForwarded: true });
    assert.equal(late.isLate, true);
    sessions.expire(start + 5 + limits.idle);
  }
  assert.equal(restored.size, 20);
});

test("a further snapshot ends the one before with an error, and has all sessions", () => {
  const table = new SessionTable();
  const sessions = new Sessions(limits, table);
  for (let user = 1; user <= 20; user++)
    sessions.apply({
      ...{ seconds: start + user, user, torrent: 1, peerId: peerIdOf(1), event: 0, uploaded: 0 },
      ...{ downloaded: 0, left: 0, isForwarded: false },
    });
  const first = table.snapshot(48);
  assert.equal(first.next().done, false);
  const restored = new SessionTable();
  const second = table.snapshot(48);
  restored.restore(second.next().value!);
  assert.throws(() => first.next(), /another snapshot has begun/);
  for (const block of second) restored.restore(block);
  assert.equal(restored.size, 20);
  assert.equal(first.next().done, true);
});
