import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import { createRandom } from "../../lib/clock.ts";
import { peerRecord } from "../conformance/records.ts";
import { StoreTester, testInfoHash, testPeer } from "../conformance/store-tester.ts";
import { batchHeadLength, emptyReply } from "./batch.ts";
import type { RedisStoreConfig } from "./config.ts";
import type { RedisArgument, RedisPort } from "./redis-port.ts";
import { RedisStore, storageUnavailable } from "./redis-store.ts";
import { layoutVersion, metaLength } from "./script.ts";

const prefix = `test:${layoutVersion}:`;
/** What the script says to one announce in an empty torrent. */
const emptyReplyBytes = emptyReply(1);

/** Endpoint of the peer that a store announces to find out whether it can announce. */
const probing = Buffer.from([192, 0, 2, 1, 0, 1]);

/** A store over a Redis whose replies come from the test. */
class Bench {
  readonly environment = { clock: { seconds: 1000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
  readonly changes: (string | undefined)[] = [];
  /** What has come, as text. */
  readonly commands: string[] = [];
  readonly store: RedisStore;
  readonly tester: StoreTester;
  readonly config: RedisStoreConfig;
  connect: () => Promise<void> = async () => undefined;
  /** Tells of an error of a connection. */
  onError: (error: Error) => void = () => undefined;
  /** Replies to a command; the announces of a probe come as `PROBE`. */
  reply: (name: string, args: readonly RedisArgument[]) => unknown = (name) =>
    name === "EVALSHA" ? emptyReplyBytes : "OK";

  readonly #t: TestContext;

  constructor(t: TestContext, changes: Partial<RedisStoreConfig> = {}, isCluster = false) {
    this.#t = t;
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { clock, peerLifetime } = this.environment;
    this.config = {
      ...redisConfig,
      broker: ["redis://127.0.0.1:6379/0"],
      connectTimeout: 2,
      readTimeout: 2,
      peerLifetime,
      ...changes,
    };
    const send = async (args: readonly RedisArgument[]): Promise<unknown> => {
      if (args.some((arg) => Buffer.from(arg).includes(probing))) return this.reply("PROBE", args);
      this.commands.push(args.map((arg) => arg.toString("latin1")).join(" "));
      return this.reply(`${args[0]}`, args);
    };
    const port: RedisPort = {
      isCluster,
      connect: () => this.connect(),
      send: (_, args) => send(args),
      masters: () => [{ send }],
      renew: () => undefined,
      close: () => undefined,
    };
    this.store = new RedisStore({
      clock,
      random: createRandom(1),
      config: this.config,
      createPort: (_, onError) => {
        this.onError = onError;
        return port;
      },
      onChange: (gone) => this.changes.push(gone),
    });
    this.tester = new StoreTester(this.store, this.environment);
  }

  /** Lets time pass, and what hangs on it happen. */
  async wait(ms: number): Promise<void> {
    this.#t.mock.timers.tick(ms);
    for (let i = 0; i < 5; i++) await turn();
  }
}

/** How many announces over IPv4 the call of a script brings. */
function announcesIn(args: readonly RedisArgument[]): number {
  return (args[3]!.length - batchHeadLength) / 36;
}

const never = new Promise<never>(() => undefined);
const torrent = testInfoHash(1);

test("a Redis that fails during a background count leaves the last count", async (t) => {
  let ms = 0;
  t.mock.method(performance, "now", () => ms++);
  const bench = new Bench(t);
  const keys = Array.from({ length: 5000 }, (_, n) => Buffer.from(prefix + `${n}`.padStart(20, "0")));
  const meta = Buffer.alloc(metaLength);
  meta.writeUInt32BE(1, 8);
  for (const at of [32, 34, 36, 38]) meta.writeUInt16BE(1, at);
  bench.reply = (name) => (name === "SCAN" ? [Buffer.from("0"), keys] : name === "HGET" ? meta : "OK");
  const { store } = bench;
  await store.start();
  assert.equal((await store.statistics()).seeders, 5000);
  ms += 1000;
  bench.reply = () => {
    throw new Error("Socket closed");
  };
  for (let i = 0; i < 2; i++) {
    assert.equal((await store.statistics()).seeders, 5000);
    await turn(); // a rejection that nobody handles would be noticed now
  }
  assert.equal(bench.commands.filter((command) => command.startsWith("SCAN")).length, 3, "it is tried again");
  store.stop();
});

test("an outage without announces is noticed", async (t) => {
  const bench = new Bench(t);
  const { store } = bench;
  await store.start();
  bench.onError(new Error("a connection of no importance"));
  await bench.wait(0);
  assert.equal(store.readiness, true);
  bench.reply = () => {
    throw new Error("The client is offline");
  };
  bench.onError(new Error("Socket closed unexpectedly"));
  await bench.wait(0);
  assert.equal(store.readiness, "redis: Socket closed unexpectedly");
  assert.deepEqual(bench.changes, ["Socket closed unexpectedly"]);
  store.stop();
});

const unreadable = new Error("WRONGTYPE Operation against a key holding the wrong kind of value");

test("a key that cannot be read and comes back at once is a torrent without peers", async (t) => {
  const bench = new Bench(t);
  const { store, tester, changes } = bench;
  await store.start();
  bench.reply = (name) => {
    if (name === "EVALSHA") throw unreadable;
    return "OK";
  };
  for (let n = 1; n <= 2; n++) {
    const { incomplete, peers } = await tester.announce(torrent, testPeer(4, 1));
    assert.deepEqual([incomplete, peers], [0, []]);
    assert.equal(store.stats.badKeys, n);
  }
  assert.deepEqual([changes, store.stats.waiting], [[], 0]);
  store.stop();
});

test("no key is deleted where the torrent of the probe fails too", async (t) => {
  const bench = new Bench(t);
  const { store, tester, commands } = bench;
  await store.start();
  commands.length = 0;
  bench.reply = (name) => {
    if (name === "EVALSHA" || name === "PROBE") throw new Error("ERR user_script:1: not our script");
    return "OK";
  };
  await assert.rejects(tester.announce(torrent, testPeer(4, 1)), storageUnavailable);
  assert.match(`${store.readiness}`, /not our script/);
  const name = Buffer.from(torrent).toString("latin1");
  assert.ok(!commands.some((command) => command.startsWith("UNLINK") && command.includes(name)));
  store.stop();
});

test("a late reply fills no response", async (t) => {
  const bench = new Bench(t);
  const { store, tester, changes } = bench;
  await store.start();
  const late = Promise.withResolvers<Buffer>();
  bench.reply = (name) => (name === "EVALSHA" ? late.promise : "OK");
  const refused = assert.rejects(tester.announce(torrent, testPeer(4, 1)), storageUnavailable);
  await bench.wait(0);
  await bench.wait(2000);
  await refused;
  await bench.wait(500);
  late.resolve(emptyReplyBytes);
  await bench.wait(0);
  assert.deepEqual(changes, ["no response in time", undefined]);
  assert.deepEqual([store.readiness, store.stats.waiting], [true, 0]);
  store.stop();
});

test("an announce without a reply is delivered with the time at which it was sent", async (t) => {
  const bench = new Bench(t, { onFailure: "serve" });
  const { store, tester, environment } = bench;
  await store.start();
  bench.reply = (name) => (name === "EVALSHA" ? never : "OK");
  const sent = environment.clock.unixSeconds;
  const announced = tester.announce(torrent, testPeer(4, 1));
  await bench.wait(0);
  environment.clock.unixSeconds += 2;
  await bench.wait(2000);
  await announced;
  const batches: Buffer[] = [];
  bench.reply = (name, args) => {
    if (name !== "EVALSHA") return "OK";
    batches.push(args[3] as Buffer);
    return emptyReplyBytes;
  };
  await bench.wait(500);
  assert.deepEqual(
    batches.map((batch) => batch.readUInt32BE(batchHeadLength + 4)),
    [sent],
  );
  store.stop();
});

test("a cluster is given the batches of a hand-over at once", async (t) => {
  const bench = new Bench(t, { onFailure: "serve" }, true);
  const { store, tester } = bench;
  bench.connect = () => Promise.reject(new Error("no cluster"));
  await store.start();
  for (let n = 1; n <= 3; n++) await tester.announce(testInfoHash(n), testPeer(4, n));
  bench.connect = async () => undefined;
  bench.reply = (name) => (name === "EVALSHA" ? never : "OK");
  await bench.wait(500);
  assert.equal(bench.commands.filter((command) => command.startsWith("EVALSHA")).length, 3);
  store.stop();
});

test("a delivery without a reply is repeated", async (t) => {
  const bench = new Bench(t, { onFailure: "serve" });
  const { store, tester, changes } = bench;
  await store.start();
  bench.reply = () => {
    throw new Error("Socket closed");
  };
  await tester.announce(torrent, testPeer(4, 1));
  bench.reply = (name) => (name === "EVALSHA" ? never : "OK");
  await bench.wait(500);
  assert.equal(store.stats.backlog, 0, "it is under way");
  await bench.wait(2000);
  assert.deepEqual([store.stats.backlog, store.readiness], [1, "redis: no response in time"]);
  bench.reply = (name) => (name === "EVALSHA" ? emptyReplyBytes : "OK");
  await bench.wait(500);
  assert.deepEqual([store.stats.backlog, store.readiness], [0, true]);
  assert.deepEqual(changes, ["Socket closed", undefined]);
  store.stop();
});

test("a replay or a walk ends if Redis does not respond", async (t) => {
  const bench = new Bench(t);
  await bench.store.start();
  bench.reply = () => never;
  const { records } = bench.store;
  const torrents = [{ infoHash: torrent, snatches: 1 }];
  const peers = [peerRecord(torrent, testPeer(4, 1))];
  for (const work of [
    () => records.replay({ peers }),
    () => records.replay({ torrents }),
    () => records.torrents(),
    () => records.peers(torrent),
    () => records.export(),
  ]) {
    const ended = assert.rejects(work, /no response in time/);
    await bench.wait(0);
    await bench.wait(2000);
    await ended;
  }
  bench.store.stop();
});

test("with on_failure=serve, a start without Redis is an ordinary outage", async (t) => {
  const bench = new Bench(t, { onFailure: "serve" });
  bench.connect = () => Promise.reject(new Error("no connection"));
  const { store, changes } = bench;
  await store.start();
  assert.deepEqual([changes, store.readiness], [["no connection"], "redis: no connection"]);
  bench.connect = async () => undefined;
  await bench.wait(500);
  assert.deepEqual([changes.length, store.readiness], [2, true]);
  store.stop();
});

test("a reload takes peer_lifetime and gc_interval, also for local memory", async (t) => {
  const bench = new Bench(t, { onFailure: "serve" });
  bench.connect = () => Promise.reject(new Error("no connection"));
  const { store, tester } = bench;
  await store.start();
  await tester.announce(torrent, testPeer(4, 1));
  store.prepare({ ...bench.config, peerLifetime: 60, gcInterval: 10 })();
  tester.advance(100);
  await bench.wait(10_000);
  assert.equal((await store.statistics()).leechers, 0);
  store.stop();
});

test("a reload takes redis_read_timeout", async (t) => {
  const bench = new Bench(t);
  const { store, tester } = bench;
  await store.start();
  store.prepare({ ...bench.config, readTimeout: 0.1 })();
  bench.reply = () => never;
  const refused = assert.rejects(tester.announce(torrent, testPeer(4, 1)), storageUnavailable);
  await bench.wait(0);
  await bench.wait(100);
  await refused;
  store.stop();
});

test("a reload takes max_clock_skew", async (t) => {
  const bench = new Bench(t, { maxClockSkew: 600 });
  const { store, tester, commands } = bench;
  await store.start();
  const allowed = () => commands.findLast((command) => command.startsWith("EVALSHA"))!;
  tester.advance(1);
  await tester.announce(torrent, testPeer(4, 1));
  const before = allowed();
  tester.advance(1);
  store.prepare({ ...bench.config, maxClockSkew: 700 })();
  await tester.announce(torrent, testPeer(4, 1));
  const big = (seconds: number) => String.fromCharCode(seconds >>> 8, seconds & 0xff);
  assert.deepEqual([before.includes(big(600)), before.includes(big(700))], [true, false]);
  assert.deepEqual([allowed().includes(big(600)), allowed().includes(big(700))], [false, true]);
  store.stop();
});

test("announces gather while a call is in progress, and full batches do not wait", async (t) => {
  const bench = new Bench(t);
  const { store, tester } = bench;
  await store.start();
  const sent: number[] = [];
  const replies: (() => void)[] = [];
  bench.reply = (_, args) => {
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    sent.push(announcesIn(args));
    replies.push(() => resolve(emptyReply(announcesIn(args))));
    return promise;
  };
  const announced: Promise<unknown>[] = [];
  const announce = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++)
      announced.push(tester.announce(torrent, testPeer(4, announced.length + 1)));
    await turn();
  };
  await announce(1);
  for (let n = 0; n < 3; n++) await announce(5);
  assert.deepEqual(sent, [1]);
  await announce(120);
  assert.deepEqual(sent, [1, 128], "a full batch goes at once");
  replies.shift()!();
  await bench.wait(0);
  assert.deepEqual(sent, [1, 128]);
  replies.shift()!();
  await bench.wait(0);
  assert.deepEqual(sent, [1, 128, 7]);
  replies.shift()!();
  await Promise.all(announced);
  store.stop();
});

test("a torrent is removed after what was announced before, however much is under way", async (t) => {
  const bench = new Bench(t);
  const { store, tester, commands } = bench;
  await store.start();
  const replies: (() => void)[] = [];
  bench.reply = (name, args) => {
    if (name !== "EVALSHA") return 1;
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    replies.push(() => resolve(emptyReply(announcesIn(args))));
    return promise;
  };
  const announced: Promise<unknown>[] = [];
  for (let n = 1; n <= 4; n++) {
    announced.push(tester.announce(testInfoHash(n + 1), testPeer(4, n)));
    await turn();
  }
  announced.push(tester.announce(torrent, testPeer(4, 5)));
  const removed = store.remove(torrent);
  while (replies.length > 0) {
    replies.shift()!();
    await bench.wait(0);
  }
  await Promise.all([...announced, removed]);
  const name = Buffer.from(torrent).toString("latin1");
  const sent = commands.filter((command) => command.includes(name)).map((command) => command.split(" ")[0]);
  assert.deepEqual(sent, ["EVALSHA", "UNLINK"]);
  store.stop();
});
