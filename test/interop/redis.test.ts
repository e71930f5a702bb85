/** Trackers as processes over one Redis: how they start, share swarms, and get through its absence. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import type { AnnounceResult } from "../../src/client/exchange.ts";
import { announce } from "../../src/client/tracker-client.ts";
import { Daemon, main, Program, temporaryDirectory, toYaml } from "../support/daemon.ts";
import { type RedisServer, startRedisServer, withoutRedis } from "../support/redis-server.ts";
import { patientRedis } from "../support/test-storage.ts";
import { UdpClient } from "../support/udp.ts";

const infoHash = Buffer.from("swarms in the engine");

function announceFrom(daemon: Daemon, port: number, scheme: "http" | "udp" = "udp"): Promise<AnnounceResult> {
  const peerId = Buffer.from(`-TR3000-${String(port).padStart(12, "0")}`);
  return announce(`${daemon.url(scheme)}/announce`, { infoHash, peerId, port, left: 1n });
}

async function startServer(
  t: TestContext,
  settings: readonly string[] = [],
  port?: number,
): Promise<RedisServer> {
  const server = await startRedisServer(settings, port);
  t.after(() => server.stop());
  return server;
}

const over = (server: Pick<RedisServer, "url">, config: Record<string, unknown> = {}) => ({
  storage: { name: "redis", config: { redis_broker: server.url, ...config } },
});

async function readyz(daemon: Daemon): Promise<{ status: string; components: Record<string, string> }> {
  const body = await new Promise<string>((resolve, reject) => {
    get(`${daemon.url("metrics")}/readyz`, { agent: false }, (response) =>
      text(response).then(resolve, reject),
    ).on("error", reject);
  });
  return JSON.parse(body);
}

async function metricsOf(daemon: Daemon): Promise<string> {
  return new Promise<string>((resolve, reject) => {
    get(`${daemon.url("metrics")}/metrics`, { agent: false }, (response) =>
      text(response).then(resolve, reject),
    ).on("error", reject);
  });
}

for (const workers of ["1", "2"]) {
  test(`two trackers with ${workers} workers share their swarms`, { skip: withoutRedis }, async (t) => {
    const server = await startServer(t);
    const one = await Daemon.start(t, over(server, patientRedis), "--set", `workers=${workers}`);
    const other = await Daemon.start(t, over(server, patientRedis), "--set", `workers=${workers}`);
    await announceFrom(one, 1001);
    await announceFrom(other, 1002, "http");
    const { incomplete, peers } = await announceFrom(one, 1003, "http");
    assert.deepEqual([incomplete, peers.map(({ port }) => port).sort()], [3, [1001, 1002]]);
    for (const daemon of [one, other]) {
      const metrics = await metricsOf(daemon);
      assert.match(metrics, /^chihaya_storage_leechers_count 3$/m);
      assert.match(metrics, new RegExp(`^chihaya_redis_connected_workers ${workers}$`, "m"));
      assert.match(metrics, /^chihaya_redis_round_trip_seconds_count [1-9]/m);
      assert.equal((await readyz(daemon)).status, "ready");
    }
    const changed = { redis_read_timeout: "30s", key_prefix: "other:", peer_lifetime: "40m" };
    const settings = over(server, { ...patientRedis, ...changed });
    const { needsRestart } = await one.reload({ workers, ...settings });
    assert.deepEqual(needsRestart, ["storage.config.key_prefix"]);
    const memory = await other.reload({ workers, storage: { name: "memory" } });
    assert.deepEqual(memory.needsRestart, ["storage.name"]);
    await one.signal("SIGTERM", "stopped");
    assert.equal((await announceFrom(other, 1004)).incomplete, 4);
  });
}

test("without Redis the tracker does not start, and shows no password", {
  skip: withoutRedis,
}, async (t) => {
  const server = await startServer(t);
  await server.stop();
  const file = join(temporaryDirectory(t), "chihaya.yaml");
  for (const workers of ["1", "2"]) {
    const redis_broker = server.url.replace("//", "//me:hunter2@");
    writeFileSync(file, toYaml({ workers, ...over(server, { redis_broker, redis_connect_timeout: "1s" }) }));
    const program = new Program(t, process.execPath, [main, "--json", "--config", file]);
    assert.deepEqual(await program.ended, { code: 1, signal: null });
    assert.match(program.stderr, /failed to start: cannot use Redis at redis:\/\/127\.0\.0\.1:/);
    assert.doesNotMatch(program.stderr + program.stdout, /hunter2/);
  }
});

test("refusing: while the engine is gone clients and probes are told", { skip: withoutRedis }, async (t) => {
  const server = await startServer(t);
  const daemon = await Daemon.start(t, over(server), "--set", "workers=2");
  await announceFrom(daemon, 1001);
  await server.stop();
  await assert.rejects(announceFrom(daemon, 1002), { message: "tracker storage is unavailable" });
  const { level } = await daemon.until(
    ({ msg }) => msg === "Redis is unavailable; announces are refused until it returns",
  );
  assert.equal(level, "warn");
  const { status, components } = await readyz(daemon);
  assert.equal(status, "not ready");
  assert.ok(
    Object.entries(components).some(([name, state]) => /storage/.test(name) && /^redis: /.test(state)),
  );
  assert.match(await metricsOf(daemon), /^chihaya_redis_unanswered_records_total [1-9]/m);
  await startServer(t, [], server.port);
  await daemon.until(({ msg }) => msg === "Redis is available again");
});

test("serving on: nobody is refused, from the start on, and probes are told", {
  skip: withoutRedis,
}, async (t) => {
  const server = await startServer(t);
  await server.stop();
  const daemon = await Daemon.start(t, over(server, { on_failure: "serve" }), "--set", "workers=1");
  await announceFrom(daemon, 1001);
  assert.equal((await announceFrom(daemon, 1002)).incomplete, 2);
  const { status, components } = await readyz(daemon);
  assert.equal(status, "ready");
  assert.match(components.storage!, /^ready, but serving from local memory: redis: /);
  assert.match(await metricsOf(daemon), /^chihaya_redis_backlog_announces 2$/m);
  await startServer(t, ["--maxmemory-policy", "allkeys-lru"], server.port);
  await daemon.until(({ msg }) => msg === "Redis is available again");
  await daemon.until(({ msg }) => msg.startsWith("maxmemory-policy is allkeys-lru: "));
  assert.match(await metricsOf(daemon), /^chihaya_redis_backlog_announces 0$/m);
  assert.equal((await announceFrom(daemon, 1003)).incomplete, 3);
  assert.equal((await readyz(daemon)).components.storage, "ready");
});

test("the requests of every worker are counted while Redis does not respond", {
  skip: withoutRedis,
}, async (t) => {
  const server = await startServer(t);
  const daemon = await Daemon.start(t, over(server, patientRedis), "--set", "workers=2");
  const clients = 32; // the kernel gives each worker some of them
  const count = /^chihaya_udp_response_duration_milliseconds_count\{.*action="connect".*\} (\d+)$/gm;
  process.kill(server.process.pid, "SIGSTOP");
  try {
    for (let n = 0; n < clients; n++) {
      const client = await UdpClient.open(4, daemon.port("udp"));
      await client.connect();
      client.close();
    }
    let counted = 0;
    while (counted < clients) {
      const lines = [...(await metricsOf(daemon)).matchAll(count)];
      counted = lines.reduce((sum, [, value]) => sum + Number(value), 0);
    }
  } finally {
    process.kill(server.process.pid, "SIGCONT");
  }
});

test("check-config --connect tries Redis, and leaves nothing in it", { skip: withoutRedis }, async (t) => {
  const server = await startServer(t, ["--requirepass", "secret"]);
  const file = join(temporaryDirectory(t), "chihaya.yaml");
  const connect = async (redis_broker: string) => {
    writeFileSync(file, toYaml(over({ url: redis_broker })));
    const program = new Program(t, process.execPath, [main, "check-config", file, "--connect"]);
    const { code } = await program.ended;
    return { code, tried: program.stdout.split("\n")[1]! };
  };
  const url = `redis://:secret@127.0.0.1:${server.port}/0`;
  const right = await connect(url);
  assert.match(right.tried, /^ok {6}storage: redis:\/\/.*: ready$/);
  assert.equal(right.code, 0);
  assert.equal((await server.cli("-a", "secret", "dbsize")).trim().split("\n").at(-1), "0");
  const wrong = await connect(url.replace("secret", "mistake"));
  assert.match(wrong.tried, /^failed {2}storage: redis:.*WRONGPASS/);
  assert.equal(wrong.code, 1);
  assert.doesNotMatch(right.tried + wrong.tried, /secret|mistake/);
});
