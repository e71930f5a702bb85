import assert from "node:assert/strict";
import { test } from "node:test";
import { OfferRing } from "./offer-ring.ts";

const torrent = 1;

function id(text: string): Uint8Array {
  return Buffer.from(text.padEnd(20, "."));
}

/** Whether the offer can be answered. */
function has(ring: OfferRing, text: string): boolean {
  return ring.answer(id(text), 0, torrent, 0) >= 0;
}

test("one client does not push out the offers of others, however many it makes", () => {
  const ring = new OfferRing();
  for (let other = 0; other < 24; other++) ring.add(id(`honest ${other}`), 0, torrent, other, 0, 100);
  for (let i = 0; i < 1000; i++) ring.add(id(`flood ${i}`), 0, torrent, 99, 0, 100 + (i >> 4));
  for (let other = 0; other < 24; other++) assert.ok(has(ring, `honest ${other}`), `${other}`);
  assert.ok(has(ring, "flood 999"), "its newest offer can be answered");
  assert.ok(!has(ring, "flood 0"));
});

test("the oldest offer of all makes room for an offer of a client with few", () => {
  const ring = new OfferRing();
  for (let i = 0; i < 33; i++) ring.add(id(`${i}`), 0, torrent, i, 0, 100 + i);
  assert.ok(!has(ring, "0"));
  for (let i = 1; i < 33; i++) assert.ok(has(ring, `${i}`), `${i}`);
});

test("a client has more offers than that while nobody needs the room", () => {
  const ring = new OfferRing();
  for (let i = 0; i < 32; i++) ring.add(id(`${i}`), 0, torrent, 7, 0, 100);
  for (let i = 0; i < 32; i++) assert.ok(has(ring, `${i}`), `${i}`);
});

/** Adds offers of one socket each, from number `first` on. */
function addMany(ring: OfferRing, first: number, count: number, second: number): void {
  for (let i = first; i < first + count; i++) ring.add(id(`${i}`), 0, torrent, i, 0, second);
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

for (const offers of [8, 9, 17, 32, 33, 100]) {
  test(`of ${offers} offers within two minutes, the last 32 can be answered`, () => {
    const ring = new OfferRing();
    addMany(ring, 0, offers, 100);
    const kept = Math.min(offers, 32);
    assert.equal(ring.countUnanswered(100), kept);
    const known = range(0, offers).filter((i) => ring.hasOfferOf(i, 0, torrent, 100));
    assert.deepEqual(known, range(offers - kept, offers));
    for (const i of known) assert.equal(ring.handle(ring.answer(id(`${i}`), 0, torrent, 100)), i);
    assert.equal(ring.countUnanswered(100), 0);
  });
}

test("an offer that cannot be answered any more makes room, and a ring grows from any place", () => {
  const ring = new OfferRing();
  addMany(ring, 0, 8, 100);
  addMany(ring, 8, 3, 221);
  assert.deepEqual(
    range(0, 11).filter((i) => has(ring, `${i}`)),
    range(3, 11),
  );
  addMany(ring, 11, 8, 222);
  assert.deepEqual(
    range(0, 19).filter((i) => ring.hasOfferOf(i, 0, torrent, 0)),
    range(8, 19),
  );
  assert.deepEqual(
    range(0, 19).filter((i) => has(ring, `${i}`)),
    range(11, 19),
  );
});

test("of several offers with one id, the newest is answered first", () => {
  const ring = new OfferRing();
  for (const handle of range(0, 12)) ring.add(id("7"), 0, torrent, handle, handle + 1, 100, handle + 2);
  for (const handle of range(0, 12).reverse()) {
    const entry = ring.answer(id("7"), 0, torrent, 100);
    const found = [ring.handle(entry), ring.generation(entry), ring.tracker(entry)];
    assert.deepEqual(found, [handle, handle + 1, handle + 2]);
  }
  assert.equal(ring.answer(id("7"), 0, torrent, 100), -1);
});
