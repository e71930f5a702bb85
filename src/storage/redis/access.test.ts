import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { findFreePort } from "../../../test/e2e/ports.ts";
import { loopbackCertificate } from "../../../test/fixtures/certificates.ts";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import { startRedisCluster, startRedisSentinels } from "../../../test/support/redis-groups.ts";
import {
  type RedisServer,
  startRedisServer,
  untilReady,
  withoutRedis,
} from "../../../test/support/redis-server.ts";

import { createRandom } from "../../lib/clock.ts";
import { StoreTester, testInfoHash, testPeer } from "../conformance/store-tester.ts";
import { checkBroker, type RedisStoreConfig } from "./config.ts";
import { slotOf } from "./key-slot.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import { readChihaya } from "./read-chihaya.ts";
import { RedisStore } from "./redis-store.ts";
import { layoutVersion } from "./script.ts";

const environment = { clock: { seconds: 1000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
const torrent = testInfoHash(1);

function configFor(broker: string): RedisStoreConfig {
  return {
    ...redisConfig,
    broker: [broker],
    peerLifetime: environment.peerLifetime,
  };
}

function createStore(broker: string, changes: Partial<RedisStoreConfig> = {}): RedisStore {
  return new RedisStore({
    clock: environment.clock,
    random: createRandom(1),
    createPort: createNodeRedisPort,
    config: { ...configFor(broker), ...changes },
  });
}

/** What docs/redis.md says that the user needs. */
const commands = "EVALSHA EVAL HGET HSET HDEL DEL UNLINK EXPIRE SCAN PING"
  .split(" ")
  .map((name) => `+${name}`);

describe("access to Redis", { skip: withoutRedis }, () => {
  test("a user with the documented permissions can do all that a store does", async () => {
    const server = await startRedisServer();
    const user = ["on", ">s3cr/t", "~test:*", "-@all", ...commands];
    assert.match(await server.cli("ACL", "SETUSER", "tracker", ...user), /OK/);
    await server.cli("ACL", "SETUSER", "default", "off");
    const store = createStore(`redis://tracker:s3cr%2Ft@127.0.0.1:${server.port}/0`);
    const tester = new StoreTester(store, environment);
    try {
      await store.start();
      for (let n = 0; n < 200; n++) await tester.announce(torrent, testPeer(4, n));
      assert.equal((await store.statistics()).leechers, 200);
      tester.advance(environment.peerLifetime + 1);
      assert.equal(await store.expire(), 200);
      await tester.announce(torrent, testPeer(4, 1));
      await store.remove(torrent);
      assert.equal((await tester.scrapeOne(torrent, 4)).incomplete, 0);
    } finally {
      store.stop();
      await server.stop();
    }
  });

  test("another database takes SELECT as well", async () => {
    const server = await startRedisServer();
    const user = ["on", ">secret", "~test:*", "-@all", ...commands, "+select"];
    assert.match(await server.cli("ACL", "SETUSER", "tracker", ...user), /OK/);
    const store = createStore(`redis://tracker:secret@127.0.0.1:${server.port}/3`);
    try {
      await store.start();
      await new StoreTester(store, environment).announce(torrent, testPeer(4, 1));
      assert.equal(
        await server.cli("-n", "3", "EXISTS", `test:${layoutVersion}:${Buffer.from(torrent)}`),
        "1\n",
      );
    } finally {
      store.stop();
      await server.stop();
    }
  });

  test("what Chihaya has is read with HSCAN alone", async () => {
    const server = await startRedisServer();
    const user = ["on", ">secret", "~IPv4*", "~IPv6*", "-@all", "+hscan"];
    assert.match(await server.cli("ACL", "SETUSER", "reader", ...user), /OK/);
    const swarm = `IPv4_L_${"ab".repeat(20)}`;
    await server.cli("HSET", "IPv4", swarm, "1");
    await server.cli("HSET", swarm, `${"-".repeat(20)}AB1234`, "1700000000000000000");
    const url = `redis://reader:secret@127.0.0.1:${server.port}/0`;
    const port = await createNodeRedisPort(configFor(url), () => undefined);
    try {
      await port.connect();
      const [node] = await port.masters();
      const found: number[] = [];
      const options = { unixSeconds: () => 1_700_000_000, onBadKey: assert.fail, onTimeless: assert.fail };
      for await (const { peers } of readChihaya(node!, options)) found.push(...peers.map(({ port }) => port));
      assert.deepEqual(found, [0x4142]);
    } finally {
      port.close();
      await server.stop();
    }
  });

  test("a cluster takes CLUSTER SLOTS and ASKING as well", async () => {
    const cluster = await startRedisCluster();
    const user = ["on", ">secret", "~test:*", "-@all", ...commands, "+cluster|slots", "+asking"];
    for (const server of cluster.servers)
      assert.match(await server.cli("ACL", "SETUSER", "tracker", ...user), /OK/);
    const broker = cluster.broker.map((url) => url.replace("//", "//tracker:secret@"));
    const store = createStore("", { broker, topology: "cluster" });
    const tester = new StoreTester(store, environment);
    try {
      await store.start();
      for (let n = 2; n < 40; n++) await tester.announce(testInfoHash(n), testPeer(4, n));
      assert.equal((await store.statistics()).leechers, 38);
      const slot = slotOf(Buffer.concat([Buffer.from(`test:${layoutVersion}:`), torrent]));
      const owner = Math.floor((3 * slot) / 16_384);
      const [from, to] = [cluster.servers[owner]!, cluster.servers[(owner + 1) % 3]!];
      const id = async (server: RedisServer): Promise<string> => (await server.cli("CLUSTER", "MYID")).trim();
      assert.match(await from.cli("CLUSTER", "SETSLOT", `${slot}`, "MIGRATING", await id(to)), /OK/);
      assert.match(await to.cli("CLUSTER", "SETSLOT", `${slot}`, "IMPORTING", await id(from)), /OK/);
      assert.equal((await tester.announce(torrent, testPeer(4, 1))).incomplete, 1, "ASK");
      assert.equal((await to.cli("CLUSTER", "COUNTKEYSINSLOT", `${slot}`)).trim(), "1");
    } finally {
      store.stop();
      await cluster.stop();
    }
  });

  test("a password of any characters is taken by check-config and by the server", async () => {
    const password = "1/2%#?@%zz:";
    const server = await startRedisServer(["--requirepass", password]);
    try {
      for (const text of [password, encodeURIComponent(password)]) {
        const broker = `redis://:${text}@127.0.0.1:${server.port}/0`;
        assert.equal(checkBroker(broker), undefined);
        const store = createStore(broker);
        await store.start();
        store.stop();
      }
    } finally {
      await server.stop();
    }
  });

  // What is forbidden, and the commands that the error names: one that the script uses forbids EVALSHA nothing.
  for (const [rules, names] of [
    ["-evalsha", "EVALSHA"],
    ["-eval", "EVAL"],
    ["-hset", "HSET"],
    ["-hget", "HGET"],
    ["-hdel", "HDEL"],
    ["-del", "DEL"],
    ["-expire", "EXPIRE"],
    ["-unlink", "UNLINK"],
    ["-@hash", "HSET, HGET, HDEL"],
    ["resetkeys ~other:*", "EVAL, EVALSHA, HSET, EXPIRE, HGET, HDEL, DEL, UNLINK"],
  ] as const) {
    test(`a user with ${rules} is refused at the start, and the error names ${names}`, async () => {
      const server = await startRedisServer();
      const user = ["on", ">secret", "~test:*", "-@all", ...commands, ...rules.split(" ")];
      assert.match(await server.cli("ACL", "SETUSER", "tracker", ...user), /OK/);
      const broker = `redis://tracker:secret@127.0.0.1:${server.port}/0`;
      const store = createStore(broker, { onFailure: "serve" });
      try {
        await assert.rejects(
          async () => createStore(broker).start(),
          (error: Error) => error.message.includes(`it may not run ${names} on this store's keys`),
        );
        await store.start();
        assert.match(`${store.readiness}`, /lacks permissions/);
        assert.match(await server.cli("ACL", "SETUSER", "tracker", "~test:*", ...commands), /OK/);
        await untilReady(store);
        assert.doesNotMatch(await server.cli("KEYS", "*"), /test/, "the probe leaves nothing behind");
      } finally {
        store.stop();
        await server.stop();
      }
    });
  }

  test("a wrong password is said at the start, without it", async () => {
    const server = await startRedisServer(["--requirepass", "right"]);
    try {
      await assert.rejects(
        async () => createStore(`redis://:wrong@127.0.0.1:${server.port}/0`).start(),
        (error: Error) => /WRONGPASS|NOAUTH|invalid/.test(error.message) && !error.message.includes("wrong@"),
      );
    } finally {
      await server.stop();
    }
  });

  test("sentinels are given user and password where they ask for them, and only there", async () => {
    const group = await startRedisSentinels();
    const [primary] = group.servers;
    const broker = group.broker.map((url) => url.replace("//", "//:s3cr%2Ft@"));
    const create = () => createStore("", { broker, topology: "sentinel" });
    const announce = async (store: RedisStore): Promise<number> => {
      try {
        await store.start();
        return (await new StoreTester(store, environment).announce(torrent, testPeer(4, 1))).incomplete;
      } finally {
        store.stop();
      }
    };
    try {
      await primary!.cli("CONFIG", "SET", "requirepass", "s3cr/t");
      assert.equal(await announce(create()), 1, "only the data node needs the password");
      for (const url of group.broker) {
        const { port } = new URL(url);
        assert.match(
          await primary!.cli("-p", port, "ACL", "SETUSER", "default", "resetpass", ">s3cr/t"),
          /OK/,
        );
      }
      assert.equal(await announce(create()), 1, "the sentinels ask too");
    } finally {
      await group.stop();
    }
  });

  test("TLS: an authority of one's own is trusted, an unknown one is not", async () => {
    const directory = mkdtempSync(join(tmpdir(), "chihaya-tls-"));
    const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
    writeFileSync(cert, loopbackCertificate.cert);
    writeFileSync(key, loopbackCertificate.key);
    const port = await findFreePort();
    const files = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert];
    const server = await startRedisServer(["--tls-port", `${port}`, ...files, "--tls-auth-clients", "no"]);
    const url = `rediss://127.0.0.1:${port}/0`;
    const store = createStore(url, { ca: `${loopbackCertificate.cert}` });
    try {
      await store.start();
      const { incomplete } = await new StoreTester(store, environment).announce(torrent, testPeer(4, 1));
      assert.equal(incomplete, 1);
      await assert.rejects(async () => createStore(url).start(), /certificate/);
    } finally {
      store.stop();
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
