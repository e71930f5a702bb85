import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { announceRequest, announceResponse } from "../../test/support/requests.ts";
import { ClientError } from "../bittorrent/client-error.ts";
import { AnnounceEvent } from "../bittorrent/event.ts";
import { ScrapeRequest, ScrapeResponse } from "../bittorrent/scrape.ts";
import { Address } from "../ip/address.ts";
import { RequestContext } from "../middleware/hook.ts";
import { Metrics } from "../observability/metrics.ts";
import { emptyAnnounce } from "./accounting/batch.ts";
import { Directory } from "./directory.ts";
import type { DirectoryClient, DirectoryGroup } from "./directory-records.ts";
import {
  accountingBusy,
  clientNotAllowed,
  leechingForbidden,
  passkeyNotFound,
  refusalsOf,
  tooManyPasskeys,
  unregisteredTorrent,
  userDisabled,
} from "./errors.ts";
import { createPrivateHook } from "./private-hook.ts";
import { createAccountingMemory, Ring } from "./ring.ts";

const pruned = new ClientError("Torrent has been pruned", "hook");
const infoHash = "0123456789abcdef0123456789abcdef01234567";
const peerId = "-XX0001-123456789012";
const keyOf = (letter: string) => letter.repeat(32);
const users = [
  { letter: "a", isEnabled: true, canLeech: true, isHidden: false },
  { letter: "b", isEnabled: false, canLeech: true, isHidden: false },
  { letter: "c", isEnabled: true, canLeech: false, isHidden: false },
  { letter: "d", isEnabled: true, canLeech: true, isHidden: true },
  { letter: "e", isEnabled: true, canLeech: true, isHidden: false },
];

interface Site {
  isLoaded?: boolean;
  announceMin?: number;
  groups?: DirectoryGroup[];
  clients?: DirectoryClient[];
}

/** Opens the hook with users of group 1, two torrents, and the memory of all workers; `open` is one more worker. */
async function openWorkers({ isLoaded = true, announceMin = 0, groups = [], clients = [] }: Site = {}) {
  const directory = Directory.create({ users: 4, torrents: 1 });
  for (const [n, { letter, ...flags }] of users.entries())
    directory.putUser({ id: n + 1, passkey: keyOf(letter), group: 1, ...flags });
  directory.putTorrent({ id: 9, infoHashes: [Buffer.from(infoHash, "hex")], up: 200, down: 0 });
  directory.putTorrent({ id: 10, infoHashes: [Buffer.alloc(20, 10)], up: 100, down: 100 });
  directory.putTorrent({ id: 11, infoHashes: [Buffer.alloc(20, 11)], up: 100, down: 100, refusal: 1 });
  directory.setGroups(groups);
  if (clients.length > 0) directory.setClients(clients);
  const clock = { seconds: 100, unixSeconds: 1_800_000_000 };
  const subscribe = (_: string, listener: (value: unknown) => void) => {
    if (isLoaded) listener(directory.memory);
    return () => undefined;
  };
  const buffers = new Map<string, SharedArrayBuffer>();
  const buffer = async (name: string, bytes: number) => {
    const memory = buffers.get(name) ?? new SharedArrayBuffer(bytes);
    buffers.set(name, memory);
    return memory;
  };
  const open = async () => {
    const { rings, signal } = createAccountingMemory(1);
    const memory = { ring: rings[0]!, signal };
    const hook = await createPrivateHook(memory, {
      options: { announceMin, peersTimeout: 7200 },
      refusals: { ...refusalsOf("sql"), torrents: [pruned] },
      ...{ clock, metrics: new Metrics(), shared: { subscribe, buffer } },
    });
    hook.start!();
    return { hook, ring: new Ring(memory) };
  };
  return { open, clock, directory };
}

async function open(site?: Site) {
  const workers = await openWorkers(site);
  return { ...workers, ...(await workers.open()) };
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
  test(`${target}: ${refusal?.message ?? "passes"}`, async () => {
    const { hook } = await open();
    assert.equal(hook.handleAnnounce!(requestTo(target), announceResponse(), new RequestContext()), refusal);
  });
}

test("a record has the whole announce, with the factors of the torrent", async () => {
  const { hook, ring } = await open();
  const request = requestTo(`/${keyOf("a")}/announce`);
  request.event = AnnounceEvent.started;
  request.uploaded = 2n ** 40n + 1n;
  request.downloaded = 2n ** 64n - 1n;
  request.left = 7n;
  assert.equal(hook.handleAnnounce!(request, announceResponse(), new RequestContext()), undefined);
  assert.equal(ring.waiting, 1);
  assert.deepEqual(ring.records.readAnnounce(0, emptyAnnounce()), {
    ...{ seconds: 1_800_000_000, user: 1, torrent: 9, peerId, event: AnnounceEvent.started },
    ...{ uploaded: 2 ** 40 + 1, downloaded: Number.MAX_SAFE_INTEGER, left: 7, isForwarded: false },
  });
  assert.deepEqual(ring.records.factors(0), { up: 200, down: 0 });
  assert.deepEqual([ring.records.family(0), ring.records.port(0)], [6, 50_000]);
  assert.deepEqual(Buffer.from(ring.records.address(0)), Buffer.from(request.address.bytes));
});

test("a torrent that the site does not have, and a refused user, make no record", async () => {
  const { hook, ring } = await open();
  const other = requestTo(`/${keyOf("a")}/announce`);
  other.infoHash.fill(1);
  assert.equal(hook.handleAnnounce!(other, announceResponse(), new RequestContext()), unregisteredTorrent);
  const disabled = requestTo(`/${keyOf("b")}/announce`);
  assert.equal(hook.handleAnnounce!(disabled, announceResponse(), new RequestContext()), userDisabled);
  assert.equal(ring.waiting, 0);
});

test("a user who may not leech seeds, and is credited also when refused", async () => {
  const { hook, ring } = await open();
  const seeder = requestTo(`/${keyOf("c")}/announce`);
  seeder.left = 0n;
  assert.equal(hook.handleAnnounce!(seeder, announceResponse(), new RequestContext()), undefined);
  seeder.left = 1n;
  assert.equal(hook.handleAnnounce!(seeder, announceResponse(), new RequestContext()), leechingForbidden);
  assert.equal(ring.waiting, 2);
});

test("a hidden user is not in the swarm", async () => {
  const { hook } = await open();
  const context = new RequestContext();
  assert.equal(
    hook.handleAnnounce!(requestTo(`/announce/${keyOf("d")}`), announceResponse(), context),
    undefined,
  );
  assert.equal(context.leaveSwarm, true);
});

for (const event of [AnnounceEvent.stopped, AnnounceEvent.completed]) {
  test(`event ${event} waits until its record is on disk`, async () => {
    const { hook, ring } = await open();
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
  const { hook, clock, ring } = await open();
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

test("a full ring refuses, and tells clients to return in a minute", async () => {
  const { hook, ring } = await open();
  const request = requestTo(`/${keyOf("a")}/announce`);
  const announce = () => hook.handleAnnounce!(request, announceResponse(), new RequestContext());
  let count = 0;
  while (announce() === undefined) count++;
  assert.deepEqual([announce(), ring.waiting, accountingBusy.retryIn], [accountingBusy, count, 1]);
  ring.release(1);
  assert.equal(announce(), undefined);
});

test("without users and torrents, nothing passes, and the tracker is not ready", async () => {
  const { hook } = await open({ isLoaded: false });
  const request = requestTo(`/${keyOf("a")}/announce`);
  assert.equal(hook.handleAnnounce!(request, announceResponse(), new RequestContext()), accountingBusy);
  assert.match(hook.ready!() as string, /not loaded/);
  assert.equal((await open()).hook.ready!(), true);
});

test("a scrape needs the passkey too", async () => {
  const { hook } = await open();
  const scrape = (target: string) => {
    const request = new ScrapeRequest(1);
    const bytes = Buffer.from(target);
    request.params.set(bytes, 0, bytes.length, bytes.length);
    return hook.handleScrape!(request, new ScrapeResponse(1), new RequestContext());
  };
  assert.equal(scrape("/scrape"), passkeyNotFound);
  assert.equal(scrape(`/${keyOf("a")}/scrape`), undefined);
});

test("a torrent that the site does not serve is refused with the site's reason", async () => {
  const { hook, ring } = await open();
  const request = requestTo(`/${keyOf("a")}/announce`);
  request.infoHash.fill(11);
  assert.equal(hook.handleAnnounce!(request, announceResponse(), new RequestContext()), pruned);
  assert.equal(ring.waiting, 0);
});

test("a client that the site does not allow is refused, and makes no record", async () => {
  const { hook, ring } = await open({ clients: [{ prefix: Buffer.from("-XX"), isAllowed: false }] });
  const request = requestTo(`/${keyOf("a")}/announce`);
  const announce = () => hook.handleAnnounce!(request, announceResponse(), new RequestContext());
  assert.equal(announce(), clientNotAllowed);
  assert.equal(ring.waiting, 0);
  request.peerId.set(Buffer.from("-XY"));
  assert.equal(announce(), undefined);
});

test("a record has the factors of grants, and says whether a token counts", async () => {
  const { hook, ring, directory } = await open();
  directory.putGrant({ user: 1, torrent: 9, up: 300, until: 1_800_000_001 });
  const request = requestTo(`/${keyOf("a")}/announce`);
  hook.handleAnnounce!(request, announceResponse(), new RequestContext());
  directory.removeGrant(1, 9);
  hook.handleAnnounce!(request, announceResponse(), new RequestContext());
  const [first, second] = [0, 1].map((n) => [ring.records.factors(n), ring.records.isToken(n)]);
  assert.deepEqual(first, [{ up: 300, down: 0 }, true]);
  assert.deepEqual(second, [{ up: 200, down: 0 }, false]);
});

test("an announce has its user as tag, so that the user does not get their own peers", async () => {
  const { hook } = await open();
  const request = requestTo(`/${keyOf("d")}/announce`);
  hook.handleAnnounce!(request, announceResponse(), new RequestContext());
  assert.equal(request.tag, 4);
});

describe("download slots", () => {
  async function openWithSlots(slots: number) {
    const workers = await openWorkers({ groups: [{ id: 1, slots }] });
    const hooks = [(await workers.open()).hook, (await workers.open()).hook] as const;
    let turn = 0;
    /** Announces at either worker in turn. @returns whether the user has a slot */
    const announce = (torrent: number, { left = 1n, event = 0 as AnnounceEvent, user = "a" } = {}) => {
      const request = requestTo(`/${keyOf(user)}/announce`);
      if (torrent !== 9) request.infoHash.fill(torrent);
      Object.assign(request, { left, event, numWant: 50 });
      const context = new RequestContext();
      const response = announceResponse();
      void hooks[turn++ % 2]!.handleAnnounce!(request, response, context);
      const isLeft = { hasPeers: request.numWant > 0, isListed: !context.leaveSwarm };
      assert.deepEqual(isLeft, { hasPeers: isLeft.hasPeers, isListed: isLeft.hasPeers });
      assert.equal(response.warning, isLeft.hasPeers ? undefined : "Download slot limit reached");
      return isLeft.hasPeers;
    };
    return { ...workers, announce };
  }

  test("a user downloads as many torrents as the group has slots", async () => {
    const { announce, clock } = await openWithSlots(1);
    assert.deepEqual([announce(9), announce(10), announce(9)], [true, false, true]);
    assert.ok(announce(10, { user: "e" }), "another user has slots of their own");
    assert.ok(announce(10, { left: 0n }), "seeding takes none");
    clock.seconds += 7201;
    assert.ok(announce(10), "a client that has gone gives its slot back");
    assert.equal(announce(9), false);
  });

  for (const [name, end] of [
    ["stopped", { event: AnnounceEvent.stopped }],
    ["completed", { event: AnnounceEvent.completed, left: 0n }],
  ] as const) {
    test(`${name} gives the slot back`, async () => {
      const { announce } = await openWithSlots(1);
      assert.deepEqual([announce(9), announce(10)], [true, false]);
      assert.ok(announce(9, end));
      assert.deepEqual([announce(10), announce(9)], [true, false]);
    });
  }

  test("a group without slots does not download, and one without a limit always does", async () => {
    assert.equal((await openWithSlots(0)).announce(9), false);
    const { hook } = await open({ groups: [{ id: 1 }] });
    const response = announceResponse();
    hook.handleAnnounce!(requestTo(`/${keyOf("a")}/announce`), response, new RequestContext());
    assert.equal(response.warning, undefined);
  });
});

describe("announce_min", () => {
  async function openWithMin() {
    const { hook, clock, ring } = await open({ announceMin: 900 });
    /** @returns whether the announce gets peers */
    const announce = (changes: { event?: AnnounceEvent; port?: number; family?: 4 } = {}) => {
      const request = requestTo(`/${keyOf("a")}/announce`);
      Object.assign(request, { numWant: 50, ...changes });
      if (changes.family === 4) request.address.copyFrom(Address.parse("192.0.2.1"));
      const response = announceResponse();
      void hook.handleAnnounce!(request, response, new RequestContext());
      assert.equal(response.minInterval, 900);
      return request.numWant > 0;
    };
    return { announce, clock, ring };
  }

  test("an early announce gets no peers, but is accounted for", async () => {
    const { announce, clock, ring } = await openWithMin();
    assert.deepEqual([announce(), announce(), ring.waiting], [true, false, 2]);
    clock.seconds += 899;
    assert.equal(announce(), false);
    clock.seconds += 1;
    assert.ok(announce());
  });

  test("the other address of a client, completed, and a run after stopped are served", async () => {
    const { announce } = await openWithMin();
    assert.ok(announce());
    assert.ok(announce({ family: 4 }));
    assert.ok(announce({ event: AnnounceEvent.completed }));
    assert.equal(announce({ port: 7 }), false, "another port is the same client");
    announce({ event: AnnounceEvent.stopped });
    assert.ok(announce({ event: AnnounceEvent.started }));
  });
});

describe("unknown passkeys", () => {
  const announceFrom = async (address: string) => {
    const workers = await openWorkers();
    const hooks = [(await workers.open()).hook, (await workers.open()).hook] as const;
    let turn = 0;
    const announce = (passkey: string, from = address, event: AnnounceEvent = AnnounceEvent.none) => {
      const request = requestTo(`/${passkey}/announce`);
      request.event = event;
      request.address.copyFrom(Address.parse(from));
      return hooks[turn++ % 2]!.handleAnnounce!(request, announceResponse(), new RequestContext());
    };
    const guess = (n: number) => announce(`${n}`.padStart(32, "0"));
    return { ...workers, announce, guess, hooks };
  };

  for (const [address, neighbour, stranger] of [
    ["192.0.2.1", "192.0.2.1", "192.0.2.2"],
    ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"],
  ] as const) {
    test(`an address may try some: ${address}`, async () => {
      const { announce, guess, clock } = await announceFrom(address);
      for (let n = 0; n < 50; n++) assert.equal(guess(n), passkeyNotFound);
      for (let n = 50; n < 100; n++) assert.equal(guess(n), tooManyPasskeys);
      assert.equal(announce(keyOf("a"), neighbour), tooManyPasskeys, "also when the guess is right");
      assert.equal(announce(keyOf("a"), stranger), undefined, "others are not affected");
      clock.seconds += 5;
      assert.equal(guess(100), passkeyNotFound);
      assert.equal(guess(101), tooManyPasskeys);
    });
  }

  test("users who have announced from the address before are still served", async () => {
    const { announce, guess, clock } = await announceFrom("192.0.2.1");
    assert.equal(announce(keyOf("a"), "192.0.2.1", AnnounceEvent.started), undefined);
    for (let n = 0; n < 60; n++) guess(n);
    assert.equal(announce(keyOf("a")), undefined);
    assert.equal(announce(keyOf("d")), tooManyPasskeys);
    clock.seconds += 249;
    assert.equal(announce(keyOf("d")), undefined, "the address has tries again");
  });

  test("one passkey may be tried more often, and does not lock the address out", async () => {
    const { announce, guess } = await announceFrom("192.0.2.1");
    for (let n = 0; n < 501; n++) assert.equal(announce(keyOf("z")), passkeyNotFound);
    assert.equal(announce(keyOf("z")), tooManyPasskeys);
    assert.equal(announce(keyOf("a")), undefined, "as the user's new passkey");
    assert.equal(guess(1), passkeyNotFound);
  });

  test("scrapes are tries too", async () => {
    const { hooks, guess } = await announceFrom("192.0.2.1");
    for (let n = 0; n < 50; n++) guess(n);
    const request = new ScrapeRequest(1);
    const target = Buffer.from(`/scrape/${"y".repeat(32)}`);
    request.params.set(target, 0, target.length, target.length);
    request.address.copyFrom(Address.parse("192.0.2.1"));
    assert.equal(
      hooks[0].handleScrape!(request, new ScrapeResponse(1), new RequestContext()),
      tooManyPasskeys,
    );
  });

  test("a right passkey costs no try, and neither does a request without one", async () => {
    const { announce, guess } = await announceFrom("192.0.2.1");
    for (let n = 0; n < 200; n++) assert.equal(announce(keyOf("a")), undefined);
    for (let n = 0; n < 200; n++) assert.equal(announce("x"), passkeyNotFound);
    assert.equal(guess(1), passkeyNotFound);
    assert.equal(announce(keyOf("e")), undefined);
  });
});
