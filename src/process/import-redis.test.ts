import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startRedisCluster } from "../../test/support/redis-groups.ts";
import { startRedisServer, withoutRedis } from "../../test/support/redis-server.ts";
import { loadConfig } from "../config/load.ts";
import { createRandom } from "../lib/clock.ts";
import type { RedisStoreConfig } from "../storage/redis/config.ts";
import { createNodeRedisPort } from "../storage/redis/node-redis-port.ts";
import { RedisStore } from "../storage/redis/redis-store.ts";
import { importFromChihaya } from "./import-redis.ts";

const torrent = "00112233445566778899aabbccddeeff00112233";
const id = Buffer.from("-TR3000-abcdefghijkl").toString("hex");
const nanoseconds = (secondsAgo: number): string => `${Math.floor(Date.now() / 1000) - secondsAgo}000000000`;
/** A peer as Chihaya's keys have it. */
const peer = (port: number, address: string): Buffer =>
  Buffer.from(`${id}${port.toString(16).padStart(4, "0")}${address}`, "hex");

/** The store that an import goes into, as a tracker opens it afterwards. */
async function openStore(t: TestContext, config: RedisStoreConfig): Promise<RedisStore> {
  const store = new RedisStore({
    config,
    clock: { seconds: 1, unixSeconds: Math.floor(Date.now() / 1000) },
    random: createRandom(1),
    createPort: createNodeRedisPort,
  });
  await store.start();
  t.after(() => store.stop());
  return store;
}

test("what Chihaya has in Redis is taken over, once and again", { skip: withoutRedis }, async (t) => {
  const server = await startRedisServer();
  t.after(() => server.stop());
  const loaded = loadConfig({
    env: {},
    set: ["storage.name=redis", `storage.config.redis_broker=${server.url}`],
  });
  assert.ok(loaded.ok && loaded.config.storage.name === "redis");
  const config = loaded.config.storage.config as RedisStoreConfig;
  const port = await createNodeRedisPort(config, () => undefined);
  await port.connect();
  t.after(() => port.close());
  const set = async (key: string, field: string | Buffer, secondsAgo: number): Promise<unknown> =>
    port.send(Buffer.from(key), ["HSET", key, field, nanoseconds(secondsAgo)]);
  for (const swarm of [`IPv4_S_${torrent}`, `IPv4_L_${torrent}`]) await set("IPv4", swarm, 0);
  await set("IPv6", `IPv6_L_${torrent}`, 0);
  await set(`IPv4_S_${torrent}`, peer(1001, "01020304"), 60);
  await set(`IPv4_L_${torrent}`, peer(1001, "01020304"), 120); // in both: the newer holds
  await set(`IPv4_L_${torrent}`, peer(1002, "01020305"), 60);
  await set(`IPv4_L_${torrent}`, peer(1003, "01020306"), 7200); // long gone
  await set(`IPv4_L_${torrent}`, "what is no peer", 60);
  await set(`IPv4_L_${torrent}`, peer(0, "01020307"), 60);
  await set(`IPv6_L_${torrent}`, peer(1004, `20010db8${"00".repeat(11)}01`), 60);
  await set("IPv4", "IPv4_S_nothing", 0);

  const before = await server.cli("DBSIZE");
  assert.deepEqual(await importFromChihaya(config, server.url, assert.fail), {
    imported: 4,
    expired: 1,
    refused: 0,
  });
  assert.deepEqual(await importFromChihaya(config, server.url, assert.fail), {
    imported: 4,
    expired: 1,
    refused: 0,
  });
  await set(`IPv4_L_${torrent}`, peer(1005, "01020308"), 60);
  await server.cli("CONFIG", "SET", "maxmemory", "1");
  assert.deepEqual(await importFromChihaya(config, server.url, assert.fail), {
    imported: 4,
    expired: 1,
    refused: 1,
  });
  await server.cli("CONFIG", "SET", "maxmemory", "0");
  const store = await openStore(t, config);
  const swarms: { family: number | "web"; seeders: number; leechers: number }[] = [];
  for await (const { family, seeders, leechers } of store.swarms())
    swarms.push({ family, seeders, leechers });
  assert.deepEqual(
    swarms.sort((a, b) => Number(a.family) - Number(b.family)),
    [
      { family: 4, seeders: 1, leechers: 1 },
      { family: 6, seeders: 0, leechers: 1 },
    ],
  );
  assert.match(before, /^5\n/); // and Chihaya's keys are still there
  assert.equal(await server.cli("HLEN", `IPv4_L_${torrent}`), "6\n");
});

test("keys of another type are named, and peers without a time are not counted as imported", {
  skip: withoutRedis,
}, async (t) => {
  const server = await startRedisServer();
  t.after(() => server.stop());
  const loaded = loadConfig({
    env: {},
    set: ["storage.name=redis", `storage.config.redis_broker=${server.url}`],
  });
  assert.ok(loaded.ok && loaded.config.storage.name === "redis");
  const config = loaded.config.storage.config as RedisStoreConfig;
  const port = await createNodeRedisPort(config, () => undefined);
  await port.connect();
  t.after(() => port.close());
  const [good, string, list] = ["00", "01", "02"].map((end) => `IPv4_L_${torrent.slice(2)}${end}`) as [
    string,
    string,
    string,
  ];
  const send = async (name: string, key: string, ...args: (string | Buffer)[]): Promise<unknown> =>
    port.send(Buffer.from(key), [name, key, ...args]);
  for (const swarm of [string, list, good]) await send("HSET", "IPv4", swarm, nanoseconds(0));
  await send("SET", "IPv6", "no hash");
  await send("SET", string, "no hash");
  await send("RPUSH", list, "no hash");
  const times = ["", "soon", "NaN", "-5", "1e30", "17e17", nanoseconds(60), nanoseconds(-86_400)];
  for (const [n, time] of times.entries()) await send("HSET", good, peer(1001 + n, "01020304"), time);
  const skipped: string[] = [];
  const report = await importFromChihaya(config, server.url, (what) => skipped.push(what));
  assert.deepEqual(report, { imported: 2, expired: 0, refused: 0 });
  assert.deepEqual(
    skipped.sort(),
    [
      "6 peers have no time of an announce and were left out",
      ...[string, list, "IPv6"].map((key) => `the key ${key} is no hash and was left out`),
    ].sort(),
  );
  const { leechers } = await (await openStore(t, config)).statistics();
  assert.equal(leechers, 2);
});

test("what Chihaya has on a single server is taken over into a cluster", {
  skip: withoutRedis,
}, async (t) => {
  const server = await startRedisServer();
  t.after(() => server.stop());
  const cluster = await startRedisCluster();
  t.after(() => cluster.stop());
  const loaded = loadConfig({
    env: {},
    set: [
      "storage.name=redis",
      "storage.config.redis_topology=cluster",
      `storage.config.redis_broker=${cluster.broker.slice(0, 2).join(",")}`,
    ],
  });
  assert.ok(loaded.ok && loaded.config.storage.name === "redis");
  const config = loaded.config.storage.config as RedisStoreConfig;
  const source = await createNodeRedisPort(
    { ...config, broker: [server.url], topology: "single" },
    () => undefined,
  );
  await source.connect();
  const set = async (key: string, field: string | Buffer): Promise<unknown> =>
    source.send(Buffer.from(key), ["HSET", key, field, nanoseconds(60)]);
  for (let n = 0; n < 200; n++) {
    const swarm = `IPv4_${n % 2 === 0 ? "S" : "L"}_${torrent.slice(4)}${n.toString(16).padStart(4, "0")}`;
    await set("IPv4", swarm);
    for (let i = 1; i <= 3; i++) await set(swarm, peer(1000 + i, "01020304"));
  }
  source.close();
  const report = { imported: 600, expired: 0, refused: 0 };
  assert.deepEqual(await importFromChihaya(config, server.url, assert.fail), report);
  assert.deepEqual(await importFromChihaya(config, server.url, assert.fail), report, "again");
  const store = await openStore(t, config);
  const { swarms, seeders, leechers } = await store.statistics();
  assert.deepEqual({ swarms, seeders, leechers }, { swarms: 200, seeders: 300, leechers: 300 });
});

test("a Redis server that does not run is named, without its password", { skip: withoutRedis }, async () => {
  const server = await startRedisServer();
  await server.stop();
  const url = server.url.replace("//", "//:hunter2@");
  const loaded = loadConfig({
    env: {},
    set: [
      "storage.name=redis",
      `storage.config.redis_broker=${url}`,
      "storage.config.redis_connect_timeout=500ms",
    ],
  });
  assert.ok(loaded.ok && loaded.config.storage.name === "redis");
  await assert.rejects(
    importFromChihaya(loaded.config.storage.config as RedisStoreConfig, url, assert.fail),
    (error: Error) => {
      assert.match(error.message, /^cannot read Chihaya's Redis: /);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    },
  );
});
