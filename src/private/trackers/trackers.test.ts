import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { findFreePort } from "../../../test/e2e/ports.ts";
import { temporaryDirectory } from "../../../test/support/daemon.ts";
import { MemorySite } from "../../../test/support/memory-site.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { createRandom } from "../../lib/clock.ts";
import { silentLogger } from "../../observability/logger.ts";
import { Accountant } from "../accounting/accountant.ts";
import { Journal } from "../accounting/journal.ts";
import { Directory, type DirectoryMemory } from "../directory.ts";
import { packFactors } from "../factors.ts";
import type { PrivateOptions } from "../options.ts";
import { Field } from "../record.ts";
import { createAccountingMemory, Ring } from "../ring.ts";
import { Forwarder } from "./forwarder.ts";
import { TrackerServer } from "./tracker-server.ts";

const { none, started, stopped } = AnnounceEvent;
const secret = "a secret of both trackers";
const options = {
  ...{ storeIps: "hashed", maxRate: 1e9, peersTimeout: 7200, idleSessions: 86_400 },
} as unknown as PrivateOptions;

/** The clock of all trackers. */
const clock = { seconds: 1000, unixSeconds: 1_800_000_000 };
function pass(seconds: number): void {
  clock.seconds += seconds;
  clock.unixSeconds += seconds;
}

/** Lets sockets work until a condition holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** A worker's ring with its journal. */
abstract class Tracker {
  readonly ring: Ring;
  readonly journalDirectory: string;
  readonly lines: string[] = [];
  readonly logger: typeof silentLogger;
  published: DirectoryMemory | undefined;
  journal!: Journal;
  readonly publish = (memory: DirectoryMemory): void => {
    this.published = memory;
  };

  constructor(t: TestContext) {
    this.journalDirectory = join(temporaryDirectory(t), "journal");
    const { rings, signal } = createAccountingMemory(1);
    this.ring = new Ring({ ring: rings[0]!, signal });
    const note = (_: object, message: string) => void this.lines.push(message);
    this.logger = { ...silentLogger, info: note, warn: note, error: note };
  }

  openJournal(): Journal {
    this.journal = new Journal({ directory: this.journalDirectory, segmentBytes: 4096, keep: 1e9 });
    return this.journal;
  }

  announce(user: number, uploaded: number, event: AnnounceEvent = none): void {
    const at = this.ring.reserve();
    assert.ok(at >= 0);
    const { words, bytes } = this.ring.records;
    words.fill(0, at, at + 32);
    words[at + Field.seconds] = clock.unixSeconds;
    words[at + Field.user] = user;
    words[at + Field.torrent] = 1;
    words[at + Field.what] = event | (4 << 8) | (6881 << 16);
    words[at + Field.counters] = uploaded;
    bytes.set(Buffer.from(`-XX0001-${user}`.padEnd(20, "x")), 4 * (at + Field.peerId));
    bytes.set([192, 0, 2, 9], 4 * (at + Field.address));
    words[at + Field.factors] = packFactors({ up: 100, down: 100 });
    this.ring.commit();
  }
}

/** The tracker with the accounts. */
class Leader extends Tracker {
  readonly site: MemorySite;
  accountant!: Accountant;
  server!: TrackerServer;
  port = 0;

  constructor(t: TestContext, site: MemorySite) {
    super(t);
    this.site = site;
    t.after(() => this.die());
  }

  async open(): Promise<void> {
    const server = new TrackerServer({ secret, logger: this.logger, wake: () => undefined });
    const { ring } = this;
    this.accountant = await Accountant.open(options, 3900, {
      ...{ journal: this.openJournal(), site: this.site, clock, logger: this.logger },
      sources: {
        *[Symbol.iterator]() {
          yield ring;
          yield* server.sources;
        },
      },
      publish: (memory) => {
        this.publish(memory);
        server.publish(memory);
      },
      onChange: (change) => server.change(change),
    });
    this.server = server;
    if (this.port === 0) this.port = await findFreePort(); // after a death it listens there again
    await server.listen(this.accountant, [{ host: "127.0.0.1", port: this.port }]);
  }

  /** Ends as kill -9 does. */
  async die(): Promise<void> {
    await this.server.close();
    this.journal.close();
  }

  async settle(): Promise<void> {
    while (this.accountant.drain() > 0);
    while (!(await this.accountant.flush()));
  }
}

/** A further tracker. */
class Further extends Tracker {
  readonly leader: Leader;
  forwarder!: Forwarder;

  constructor(t: TestContext, leader: Leader) {
    super(t);
    this.leader = leader;
    t.after(() => this.die());
  }

  async open(key = secret): Promise<void> {
    const deps = { journal: this.openJournal(), sources: [this.ring], clock, logger: this.logger };
    const address = { host: "127.0.0.1", port: this.leader.port, secret: key };
    this.forwarder = await Forwarder.open(address, { ...deps, publish: this.publish });
  }

  async connect(): Promise<void> {
    await until(() => {
      if (this.forwarder.state.problem !== undefined) pass(1);
      void this.forwarder.tick();
      return this.forwarder.state.problem === undefined && this.published !== undefined;
    });
  }

  /** Ends as kill -9 does. */
  async die(): Promise<void> {
    this.forwarder.disconnect();
    this.journal.close();
  }

  /** Sends all records, and waits until the accounts have them on disk. */
  async settle(): Promise<void> {
    while (this.forwarder.drain() > 0);
    await until(() => {
      this.leader.accountant.drain();
      return this.forwarder.state.applied === this.journal.last;
    });
  }
}

async function openBoth(t: TestContext, users = 1): Promise<{ first: Leader; second: Further }> {
  const first = new Leader(t, new MemorySite(users));
  await first.open();
  const second = new Further(t, first);
  await second.open();
  await second.connect();
  return { first, second };
}

function find({ published }: Tracker, user: number): boolean {
  const { users } = new Directory(published!);
  return users.find(new Int32Array(new Uint8Array(Buffer.from(MemorySite.user(user).passkey)).buffer), 0);
}

test("a further tracker gets users and torrents, and the changes", async (t) => {
  const { first, second } = await openBoth(t);
  assert.deepEqual([find(second, 1), find(second, 2)], [true, false]);
  first.site.change = { passkeys: [], infoHashes: [], users: [MemorySite.user(2)], torrents: [] };
  await first.accountant.tick();
  await until(() => find(second, 2));
  first.site.change = { passkeys: [MemorySite.user(2).passkey], infoHashes: [], users: [], torrents: [] };
  await first.accountant.tick();
  await until(() => !find(second, 2));
});

test("a client that announces to two trackers by turns is credited once for each byte", async (t) => {
  const { first, second } = await openBoth(t);
  first.announce(1, 0, started);
  await first.settle();
  for (let uploaded = 100; uploaded <= 600; uploaded += 100) {
    pass(1800);
    const tracker = uploaded % 200 === 0 ? first : second;
    tracker.announce(1, uploaded, uploaded === 600 ? stopped : none);
    await tracker.settle();
  }
  await first.settle();
  assert.deepEqual(first.site.uploaded, new Map([[1, 600]]));
});

test("the addresses of peers of a further tracker are hashed with the key of the first one", async (t) => {
  const { first, second } = await openBoth(t);
  first.announce(1, 0, started);
  second.announce(1, 5);
  await first.settle();
  await second.settle();
  const read = (journal: Journal) =>
    [...journal.read(0)].flatMap(({ records, count }) =>
      Array.from({ length: count }, (_, i) => i)
        .filter((i) => records.readPosition(i) === undefined)
        .map((i) => Buffer.from(records.address(i)).toString("hex")),
    );
  const hashes = [...read(first.journal), ...read(second.journal)];
  assert.equal(hashes.length, 3);
  assert.equal(new Set(hashes).size, 1);
  assert.notEqual(hashes[0]!.slice(0, 8), "c0000209");
});

for (const dies of ["the first", "the further"] as const) {
  test(`two trackers, ${dies} one is killed again and again, clients move: every byte counts once`, async (t) => {
    const random = createRandom(7);
    const users = 20;
    const { first, second } = await openBoth(t, users);
    const moved = new Array<number>(users + 1).fill(0);
    for (let user = 1; user <= users; user++) (user % 2 === 0 ? first : second).announce(user, 0, started);
    await first.settle();
    await second.settle();
    for (let round = 0; round < 12; round++) {
      for (let step = 0; step < 6; step++) {
        pass(600);
        for (let n = 0; n < 10; n++) {
          const user = 1 + (random.next() % users);
          moved[user]! += random.next() % 1000;
          (random.next() % 2 === 0 ? first : second).announce(user, moved[user]!);
        }
        first.accountant.drain();
        second.forwarder.drain();
        await new Promise((resolve) => setTimeout(resolve, random.next() % 4));
      }
      if (round % 3 === 0) await first.accountant.checkpoint();
      const [dead, other] = dies === "the first" ? [first, second] : [second, first];
      await dead.die(); // with records that the other one does not have
      pass(60);
      for (let user = 1; user <= users; user++) {
        moved[user]! += random.next() % 1000;
        other.announce(user, moved[user]!);
      }
      if (dies === "the first") second.forwarder.drain();
      else first.accountant.drain();
      await dead.open();
      await second.connect();
    }
    await second.settle();
    await first.settle();
    for (let user = 1; user <= users; user++) first.announce(user, moved[user]!, stopped);
    await first.settle();
    assert.deepEqual(
      Array.from({ length: users }, (_, n) => first.site.uploaded.get(n + 1)),
      moved.slice(1),
    );
  });
}

test("a further tracker whose secret is another one is refused, and keeps its announces", async (t) => {
  const { first, second } = await openBoth(t);
  await second.die();
  await second.open("another secret");
  second.announce(1, 0, started);
  pass(31);
  await second.forwarder.tick();
  await until(() => /announces are kept/.test(second.forwarder.state.problem ?? ""));
  assert.equal(second.forwarder.drain(), 1);
  assert.ok(first.lines.includes("a tracker could not connect; do both trackers have the same secret?"));
  await second.die();
  await second.open();
  await second.connect();
  await second.settle();
  assert.equal(first.accountant.state.sessions, 1);
});

test("a journal of a further tracker that is older than the accounts is not sent", async (t) => {
  const { first, second } = await openBoth(t);
  second.announce(1, 0, started);
  await second.settle();
  await second.die();
  first.accountant.positions.set(second.journal.instance, 10);
  await second.open();
  pass(31);
  await second.forwarder.tick();
  await until(() => /ends with 1; restore the newer journal/.test(second.forwarder.state.problem ?? ""));
});

test("a further tracker that starts without the first one knows users and torrents, and sends its announces later", async (t) => {
  const { first, second } = await openBoth(t);
  await second.forwarder.tick();
  pass(61);
  await second.forwarder.tick(); // saves users and torrents
  await second.die();
  await first.die();
  second.published = undefined;
  await second.open();
  assert.equal(find(second, 1), true);
  second.announce(1, 0, started);
  second.announce(1, 5);
  assert.equal(second.forwarder.drain(), 2);
  await first.open();
  await second.connect();
  await second.settle();
  await first.settle();
  assert.deepEqual(first.site.uploaded, new Map([[1, 5]]));
});

test("a connection over which nothing comes back is replaced", async (t) => {
  const { first, second } = await openBoth(t);
  second.announce(1, 0, started);
  second.forwarder.drain();
  await second.forwarder.tick();
  pass(61);
  await second.forwarder.tick(); // the first tracker has not taken the record
  await until(() => /announces are kept/.test(second.forwarder.state.problem ?? ""));
  await second.connect();
  await second.settle();
  assert.equal(first.accountant.state.sessions, 1);
});

test("two trackers cannot listen on one address", async (t) => {
  const { first } = await openBoth(t);
  const server = new TrackerServer({ secret, logger: silentLogger, wake: () => undefined });
  await assert.rejects(
    server.listen(first.accountant, [{ host: "127.0.0.1", port: first.port }]),
    /EADDRINUSE/,
  );
});
