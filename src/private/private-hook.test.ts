import assert from "node:assert/strict";
import { test } from "node:test";
import { announceRequest, announceResponse } from "../../test/support/requests.ts";
import { AnnounceEvent } from "../bittorrent/event.ts";
import { ScrapeRequest, ScrapeResponse } from "../bittorrent/scrape.ts";
import { Address } from "../ip/address.ts";
import { RequestContext } from "../middleware/hook.ts";
import { Metrics } from "../observability/metrics.ts";
import { emptyAnnounce } from "./accounting/batch.ts";
import { Directory } from "./directory.ts";
import {
  accountingBusy,
  leechingForbidden,
  passkeyNotFound,
  unregisteredTorrent,
  userDisabled,
} from "./errors.ts";
import { createPrivateHook } from "./private-hook.ts";
import { createAccountingMemory, Ring } from "./ring.ts";

const infoHash = "0123456789abcdef0123456789abcdef01234567";
const peerId = "-XX0001-123456789012";
const keyOf = (letter: string) => letter.repeat(32);
const users = [
  { letter: "a", isEnabled: true, canLeech: true, isHidden: false },
  { letter: "b", isEnabled: false, canLeech: true, isHidden: false },
  { letter: "c", isEnabled: true, canLeech: false, isHidden: false },
  { letter: "d", isEnabled: true, canLeech: true, isHidden: true },
];

function open({ isLoaded = true } = {}) {
  const { rings, signal } = createAccountingMemory(1);
  const memory = { ring: rings[0]!, signal };
  const directory = Directory.create(4, 1);
  for (const [n, { letter, ...flags }] of users.entries())
    directory.putUser({ id: n + 1, passkey: keyOf(letter), ...flags });
  directory.putTorrent({ id: 9, infoHashes: [Buffer.from(infoHash, "hex")], up: 200, down: 0 });
  const clock = { seconds: 100, unixSeconds: 1_800_000_000 };
  const subscribe = (_: string, listener: (value: unknown) => void) => {
    if (isLoaded) listener(directory.memory);
    return () => undefined;
  };
  const hook = createPrivateHook(memory, { clock, metrics: new Metrics(), shared: { subscribe } });
  hook.start!();
  return { hook, clock, ring: new Ring(memory) };
}

function requestTo(target: string) {
  const request = announceRequest(infoHash, peerId);
  const bytes = Buffer.from(target, "latin1");
  const question = target.indexOf("?");
  request.params.set(bytes, 0, question < 0 ? bytes.length : question, bytes.length);
  request.address.copyFrom(Address.parse("2001:db8::7"));
  request.port = 50_000;
  request.left = 1n;
  return request;
}

for (const [target, refusal] of [
  [`/${keyOf("a")}/announce`, undefined],
  [`/announce/${keyOf("a")}`, undefined],
  [`/announce/${keyOf("a")}/`, undefined],
  [`/announce?passkey=${keyOf("a")}`, undefined],
  [`/announce?passkey=%61${"a".repeat(31)}`, undefined],
  ["/announce", passkeyNotFound],
  ["/announce?passkey=", passkeyNotFound],
  [`/announce?passkey=${"a".repeat(31)}'`, passkeyNotFound],
  [`/announce/${keyOf("z")}`, passkeyNotFound],
  [`/announce/${keyOf("a")}a`, passkeyNotFound],
  [`/announce/${keyOf("b")}`, userDisabled],
  [`/announce/${keyOf("c")}`, leechingForbidden],
] as const) {
  test(`${target}: ${refusal?.message ?? "passes"}`, () => {
    const { hook } = open();
    assert.equal(hook.handleAnnounce!(requestTo(target), announceResponse(), new RequestContext()), refusal);
  });
}

test("a record has the whole announce, with the factors of the torrent", () => {
  const { hook, ring } = open();
  const request = requestTo(`/${keyOf("a")}/announce`);
  request.event = AnnounceEvent.started;
  request.uploaded = 2n ** 40n + 1n;
  request.downloaded = 2n ** 64n - 1n;
  request.left = 7n;
  assert.equal(hook.handleAnnounce!(request, announceResponse(), new RequestContext()), undefined);
  assert.equal(ring.waiting, 1);
  assert.deepEqual(ring.records.readAnnounce(0, emptyAnnounce()), {
    ...{ seconds: 1_800_000_000, user: 1, torrent: 9, peerId, event: AnnounceEvent.started },
    ...{ uploaded: 2 ** 40 + 1, downloaded: Number.MAX_SAFE_INTEGER, left: 7 },
  });
  assert.deepEqual(ring.records.factors(0), { up: 200, down: 0 });
  assert.deepEqual([ring.records.family(0), ring.records.port(0)], [6, 50_000]);
  assert.deepEqual(Buffer.from(ring.records.address(0)), Buffer.from(request.address.bytes));
});

test("a torrent that the site does not have, and a refused user, make no record", () => {
  const { hook, ring } = open();
  const other = requestTo(`/${keyOf("a")}/announce`);
  other.infoHash.fill(1);
  assert.equal(hook.handleAnnounce!(other, announceResponse(), new RequestContext()), unregisteredTorrent);
  const disabled = requestTo(`/${keyOf("b")}/announce`);
  assert.equal(hook.handleAnnounce!(disabled, announceResponse(), new RequestContext()), userDisabled);
  assert.equal(ring.waiting, 0);
});

test("a user who may not leech seeds, and is credited also when refused", () => {
  const { hook, ring } = open();
  const seeder = requestTo(`/${keyOf("c")}/announce`);
  seeder.left = 0n;
  assert.equal(hook.handleAnnounce!(seeder, announceResponse(), new RequestContext()), undefined);
  seeder.left = 1n;
  assert.equal(hook.handleAnnounce!(seeder, announceResponse(), new RequestContext()), leechingForbidden);
  assert.equal(ring.waiting, 2);
});

test("a hidden user is not in the swarm", () => {
  const { hook } = open();
  const context = new RequestContext();
  assert.equal(
    hook.handleAnnounce!(requestTo(`/announce/${keyOf("d")}`), announceResponse(), context),
    undefined,
  );
  assert.equal(context.skipSwarm, true);
});

for (const event of [AnnounceEvent.stopped, AnnounceEvent.completed]) {
  test(`event ${event} waits until its record is on disk`, async () => {
    const { hook, ring } = open();
    const request = requestTo(`/${keyOf("a")}/announce`);
    request.event = event;
    const [first, second] = [0, 1].map(() =>
      hook.handleAnnounce!(request, announceResponse(), new RequestContext()),
    );
    assert.ok(first instanceof Promise && second instanceof Promise);
    ring.release(1);
    assert.equal(await first, undefined);
    let isDone = false;
    void second.then(() => {
      isDone = true;
    });
    await new Promise(setImmediate);
    assert.equal(isDone, false);
    ring.release(1);
    assert.equal(await second, undefined);
  });
}

test("the end of a run does not wait for ever", async () => {
  const { hook, clock, ring } = open();
  const request = requestTo(`/${keyOf("a")}/announce`);
  request.event = AnnounceEvent.stopped;
  const late = hook.handleAnnounce!(request, announceResponse(), new RequestContext());
  clock.seconds += 5;
  const next = hook.handleAnnounce!(request, announceResponse(), new RequestContext());
  clock.seconds += 6;
  ring.release(0);
  assert.equal(await late, accountingBusy);
  ring.release(2);
  assert.equal(await next, undefined);
});

test("a full ring refuses, and tells clients to return in a minute", () => {
  const { hook, ring } = open();
  const request = requestTo(`/${keyOf("a")}/announce`);
  const announce = () => hook.handleAnnounce!(request, announceResponse(), new RequestContext());
  let count = 0;
  while (announce() === undefined) count++;
  assert.deepEqual([announce(), ring.waiting, accountingBusy.retryIn], [accountingBusy, count, 1]);
  ring.release(1);
  assert.equal(announce(), undefined);
});

test("without users and torrents, nothing passes, and the tracker is not ready", () => {
  const { hook } = open({ isLoaded: false });
  const request = requestTo(`/${keyOf("a")}/announce`);
  assert.equal(hook.handleAnnounce!(request, announceResponse(), new RequestContext()), accountingBusy);
  assert.match(hook.ready!() as string, /not loaded/);
  assert.equal(open().hook.ready!(), true);
});

test("a scrape needs the passkey too", () => {
  const { hook } = open();
  const scrape = (target: string) => {
    const request = new ScrapeRequest(1);
    const bytes = Buffer.from(target);
    request.params.set(bytes, 0, bytes.length, bytes.length);
    return hook.handleScrape!(request, new ScrapeResponse(1), new RequestContext());
  };
  assert.equal(scrape("/scrape"), passkeyNotFound);
  assert.equal(scrape(`/${keyOf("a")}/scrape`), undefined);
});
