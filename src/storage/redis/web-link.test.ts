import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { waitUntil } from "../../../test/e2e/wait-until.ts";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import { type RedisServer, startRedisServer, withoutRedis } from "../../../test/support/redis-server.ts";
import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { PeerList } from "../../bittorrent/peer-list.ts";
import { createRandom } from "../../lib/clock.ts";
import { Step } from "../peer-store.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import type { RedisPort } from "./redis-port.ts";
import { RedisStore, type RedisStoreOptions } from "./redis-store.ts";
import { RedisWebLink } from "./web-link.ts";

describe("web peers of several trackers", { skip: withoutRedis }, () => {
  let server: RedisServer;
  const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
  before(async () => {
    server = await startRedisServer();
  });
  after(() => server.stop());

  async function open(
    t: TestContext,
    keyPrefix: string,
    tracker: number,
    more: Partial<RedisStoreOptions> = {},
  ) {
    const config = { ...redisConfig, broker: [server.url], keyPrefix };
    const random = createRandom(tracker);
    const store = new RedisStore({
      config,
      clock,
      random,
      tracker,
      createPort: createNodeRedisPort,
      ...more,
    });
    await store.start();
    t.after(() => store.stop());
    return store;
  }

  /** Announces a web peer, and returns what the store lists. */
  async function announce(
    store: RedisStore,
    torrent: number,
    handle: number,
    changes: Partial<AnnounceRequest> = {},
  ) {
    const none = new Uint8Array(0);
    const list = new PeerList(4, new Uint8Array(300));
    list.limit = 50;
    const response = new AnnounceResponse(new PeerList(4, none), new PeerList(6, none), list);
    response.webTrackers = new Uint32Array(50);
    const request = new AnnounceRequest();
    request.infoHash.fill(torrent);
    Object.assign(request, { kind: "web", handle, generation: 3, numWant: 50, left: 1n, ...changes });
    await store.announce(request, response, Step.both);
    const peers = Array.from({ length: list.count }, (_, i) => {
      const [handleOf, generation] = [list.view.getUint32(6 * i), list.view.getUint16(6 * i + 4)];
      return `${response.webTrackers![i]} ${handleOf} ${generation}`;
    });
    return { peers: peers.sort(), incomplete: response.incomplete };
  }

  test("a peer is listed with its tracker, 0 for the own one, and equal handles differ", async (t) => {
    const [one, two] = [await open(t, "a:", 11), await open(t, "a:", 0xffffffff)];
    await announce(one, 1, 0x8000_0001);
    const fromTwo = await announce(two, 1, 0x8000_0001);
    assert.deepEqual(fromTwo, { peers: [`11 ${0x8000_0001} 3`], incomplete: 2 });
    await announce(two, 1, 5);
    const fromOne = await announce(one, 1, 6);
    const expected = ["0 2147483649 3", "4294967295 2147483649 3", "4294967295 5 3"];
    assert.deepEqual(fromOne, { peers: expected, incomplete: 4 });
    const { event } = Object.assign(new AnnounceRequest(), { event: 3 as const });
    await announce(one, 1, 5, { event, tracker: 0xffffffff });
    assert.equal(
      (await announce(one, 1, 6)).incomplete,
      3,
      "a tracker can remove another's peer that is gone",
    );
  });

  test("messages reach the worker of a tracker that is meant, and the sender learns if nobody listens", async (t) => {
    const [one, two] = [await open(t, "b:", 21), await open(t, "b:", 22)];
    const received: string[] = [];
    const wait = (count: number) =>
      waitUntil(
        () => `${count} messages: ${received}`,
        () => received.length >= count,
      );
    for (const worker of [0, 1]) {
      await two.webLink.open(worker, (message) =>
        received.push(`${worker}: ${Buffer.from(message).toString("hex")}`),
      );
    }
    const bytes = Uint8Array.of(0, 255, 10, 13);
    assert.equal(await one.webLink.send(22, 1, bytes), true);
    await wait(1);
    const sent = one.webLink.send(22, 0, bytes);
    bytes.fill(7); // the sender uses its buffer again
    assert.equal(await sent, true);
    await wait(2);
    assert.deepEqual(received, ["1: 00ff0a0d", "0: 00ff0a0d"]);
    assert.equal(await one.webLink.send(22, 2, bytes), false, "another worker");
    assert.equal(await one.webLink.send(23, 0, bytes), false, "another tracker");
    two.stop();
    await waitUntil("nobody listens", async () => !(await one.webLink.send(22, 1, bytes)));
  });

  test("a tracker that was silent at one beat keeps its peers", async (t) => {
    const [one, silent] = [await open(t, "o:", 41), await open(t, "o:", 42)];
    await silent.webLink.open(0, () => undefined);
    await announce(silent, 1, 1);
    let worker = 0;
    const beat = () => one.webLink.open(worker++, () => undefined);
    for (let outages = 0; outages < 2; outages++) {
      await server.cli("DEL", "o:web:alive:42"); // as Redis does while it cannot be reached
      await beat();
      await server.cli("SET", "o:web:alive:42", "1"); // the next beat of the other
      await beat();
    }
    assert.equal((await one.statistics()).peersWeb, 1);
    await server.cli("DEL", "o:web:alive:42");
    await beat();
    await beat();
    assert.equal((await one.statistics()).peersWeb, 0);
  });

  test("the peers of a tracker that gives no sign of life are removed, and only those", async (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    const options = { trackerLifetime: 60 };
    const [dying, other, bystander] = (await Promise.all(
      [31, 32, 33].map((tracker) => open(t, "c:", tracker, options)),
    )) as [RedisStore, RedisStore, RedisStore];
    for (const store of [dying, other, bystander]) await store.webLink.open(0, () => undefined);
    for (let n = 0; n < 300; n++) {
      await announce(dying, 1, n);
      if (n < 100) await announce(other, 1, n);
      if (n < 20) await announce(dying, 100 + n, 1);
    }
    const address = new AnnounceRequest();
    address.infoHash.fill(1);
    address.port = 1;
    await other.announce(
      address,
      new AnnounceResponse(new PeerList(4, new Uint8Array(0)), new PeerList(6, new Uint8Array(0))),
      Step.apply,
    );
    dying.stop();
    t.mock.timers.tick(15_000);
    const counted = async () => {
      const { peersWeb, peers4 } = await other.statistics();
      return [peersWeb, peers4];
    };
    assert.deepEqual(await counted(), [420, 1], "a tracker may come back within its lifetime");
    await server.cli("DEL", "c:web:alive:31"); // as Redis does when the key's time is over
    await waitUntil("the peers of the dying tracker are removed", async () => {
      t.mock.timers.tick(15_000);
      return (await counted())[0] === 100;
    });
    assert.deepEqual(await counted(), [100, 1]);
    assert.deepEqual((await server.cli("SMEMBERS", "c:web:trackers")).trim().split("\n").sort(), [
      "32",
      "33",
    ]);
    const { incomplete, peers } = await announce(other, 1, 1000);
    assert.equal(incomplete, 101, "100 web peers and the announcer");
    assert.ok(
      peers.every((peer) => peer.startsWith("0 ")),
      "only peers of the tracker that lives",
    );
  });

  test("a tracker without WebSocket clients writes nothing about itself", async (t) => {
    const store = await open(t, "d:", 41);
    await store.statistics();
    assert.equal((await server.cli("KEYS", "d:web:*")).trim(), "");
  });
});

test("a sweep of a dead tracker that fails is repeated", async (t) => {
  const members = ["2"];
  const replies: Readonly<Record<string, () => unknown>> = {
    SMEMBERS: () => members.map((member) => Buffer.from(member)),
    SREM: () => members.splice(0).length,
    EXISTS: () => 0,
  };
  const port = {
    send: async (_key: Buffer, [command]: readonly string[]) => replies[command!]?.(),
    subscribe: async () => () => undefined,
  } as unknown as RedisPort;
  const sweeps: number[] = [];
  const errors: Error[] = [];
  const link = new RedisWebLink({
    tracker: 1,
    prefix: "web:",
    port: () => port,
    async sweep(tracker) {
      if (sweeps.push(tracker) === 1) throw new Error("Redis is gone");
    },
    onError: (error) => errors.push(error),
  });
  t.after(() => link.close());
  for (let worker = 0; worker < 4; worker++) await link.open(worker, () => undefined);
  assert.deepEqual([sweeps, errors.map(({ message }) => message)], [[2, 2], ["Redis is gone"]]);
});

test("a worker that joins during a beat is subscribed at once", async (t) => {
  const channels: string[] = [];
  const held = Promise.withResolvers<void>();
  const port = {
    async send(_key: Buffer, [command]: readonly string[]) {
      if (command === "SET") await held.promise;
      return [];
    },
    async subscribe(channel: string) {
      channels.push(channel);
      return () => undefined;
    },
  } as unknown as RedisPort;
  const link = new RedisWebLink({
    tracker: 1,
    prefix: "web:",
    port: () => port,
    sweep: async () => 0,
    onError: (error) => assert.fail(error),
  });
  t.after(() => link.close());
  const opened = [link.open(0, () => undefined)];
  await setImmediate();
  opened.push(link.open(1, () => undefined));
  held.resolve();
  await Promise.all(opened);
  assert.deepEqual(channels, ["web:1:0", "web:1:1"]);
});

test("on a cluster, whose servers count their own subscribers only, a message to a dead tracker is not sent", async (t) => {
  const sent: string[] = [];
  const replies = { PUBLISH: 0, EXISTS: 1 };
  const port = {
    isCluster: true,
    send: async (_key: Buffer, [command, name]: readonly [keyof typeof replies, string]) => {
      sent.push(`${command} ${name}`);
      return replies[command];
    },
  } as unknown as RedisPort;
  const link = new RedisWebLink({
    ...{ tracker: 1, prefix: "web:", port: () => port },
    sweep: async () => 0,
    onError: (error) => assert.fail(error),
  });
  t.after(() => link.close());
  assert.equal(await link.send(2, 3, new Uint8Array(1)), true);
  replies.EXISTS = 0;
  assert.equal(await link.send(2, 3, new Uint8Array(1)), false);
  replies.PUBLISH = 1;
  assert.equal(await link.send(2, 3, new Uint8Array(1)), true);
  const both = ["PUBLISH web:2:3", "EXISTS web:alive:2"];
  assert.deepEqual(sent, [...both, ...both, "PUBLISH web:2:3"]);
});
