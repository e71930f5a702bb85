import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../e2e/ports.ts";
import { startProcess } from "../e2e/process.ts";
import { type RedisServer, startRedisServer, untilOutput } from "./redis-server.ts";

/** Several servers that belong together. */
export interface RedisGroup {
  servers: RedisServer[];
  /** What a store is told. */
  broker: string[];
  stop(): Promise<void>;
}

/** Asks until the answer is as it must be. */
export async function untilAnswer(ask: () => Promise<string>, pattern: RegExp): Promise<void> {
  while (!pattern.test(await ask())) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** A replica has what its primary has, so that it can stand in for it. */
export async function untilSynced(replica: RedisServer): Promise<void> {
  await untilAnswer(() => replica.cli("INFO", "replication"), /master_link_status:up/);
}

/** Makes a cluster's replica the primary. The others refuse it right after another election: then it is asked again. */
export async function failOver(replica: RedisServer): Promise<void> {
  for (let polls = 0; !/master/.test(await replica.cli("ROLE")); polls++) {
    // An attempt ends by itself after five seconds.
    if (polls % 120 === 0) await replica.cli("CLUSTER", "FAILOVER");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Three primaries and then a replica of each, on loopback. */
export async function startRedisCluster(nodeTimeoutMs = 1000): Promise<RedisGroup> {
  const settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", `${nodeTimeoutMs}`];
  const servers: RedisServer[] = [];
  while (servers.length < 6) servers.push(await startRedisServer(settings));
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
  await servers[0]!.cli("--cluster", "create", ...addresses, "--cluster-replicas", "1", "--cluster-yes");
  for (const server of servers) await untilAnswer(() => server.cli("CLUSTER", "INFO"), /cluster_state:ok/);
  for (const replica of servers.slice(3)) await untilSynced(replica);
  return {
    servers,
    broker: servers.map(({ url }) => url),
    stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
  };
}

/** A primary, a replica, and three sentinels that know them as `chihaya`. */
export async function startRedisSentinels(): Promise<RedisGroup> {
  const primary = await startRedisServer();
  const replica = await startRedisServer(["--replicaof", "127.0.0.1", `${primary.port}`]);
  await untilSynced(replica);
  const directory = mkdtempSync(join(tmpdir(), "chihaya-sentinel-"));
  const sentinels = await Promise.all(
    [1, 2, 3].map(async (n) => {
      const port = await findFreePort();
      const file = join(directory, `${n}.conf`);
      const lines = [
        `port ${port}`,
        "bind 127.0.0.1",
        `dir ${directory}`,
        `sentinel monitor chihaya 127.0.0.1 ${primary.port} 2`,
        "sentinel down-after-milliseconds chihaya 500",
        "sentinel failover-timeout chihaya 2000",
      ];
      writeFileSync(file, `${lines.join("\n")}\n`);
      const sentinel = startProcess("redis-sentinel", "redis-sentinel", [file]);
      await untilOutput(sentinel, /\+monitor/);
      const ask = (): Promise<string> => redisCliOf(primary, port);
      return { port, sentinel, ask };
    }),
  );
  for (const { ask } of sentinels) {
    await untilAnswer(ask, /num-slaves\n1\n.*num-other-sentinels\n2\n/s);
  }
  return {
    servers: [primary, replica],
    broker: sentinels.map(({ port }) => `redis://127.0.0.1:${port}/0`),
    stop: async () => {
      await Promise.all([
        ...sentinels.map(({ sentinel }) => sentinel.stop()),
        primary.stop(),
        replica.stop(),
      ]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** What a sentinel knows of its primary. redis-cli takes the last `-p`. */
function redisCliOf(server: RedisServer, port: number): Promise<string> {
  return server.cli("-p", `${port}`, "SENTINEL", "MASTER", "chihaya");
}
