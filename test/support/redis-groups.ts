import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../e2e/ports.ts";
import { type RunningProcess, startProcess } from "../e2e/process.ts";
import { type RedisServer, startRedisServer, untilOutput } from "./redis-server.ts";

/** Several servers that belong together. */
export interface RedisGroup {
  servers: RedisServer[];
  /** What a store is told. */
  broker: string[];
  stop(): Promise<void>;
}

/** Asks until the answer is as it must be. */
export async function untilReply(ask: () => Promise<string>, pattern: RegExp): Promise<void> {
  while (!pattern.test(await ask())) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** A replica has what its primary has, so that it can stand in for it. */
export async function untilSynced(replica: RedisServer): Promise<void> {
  await untilReply(() => replica.cli("INFO", "replication"), /master_link_status:up/);
}

/** Makes a cluster's replica the primary. The others refuse it right after another election: then it is asked again. */
export async function failOver(replica: RedisServer): Promise<void> {
  for (let polls = 0; !/master/.test(await replica.cli("ROLE")); polls++) {
    // An attempt ends by itself after five seconds.
    if (polls % 120 === 0) await replica.cli("CLUSTER", "FAILOVER");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * Starts a group step by step. If a step fails, everything that `own` was called with before is stopped: what goes on
 * running would keep the test file from ending.
 */
async function startGroup(
  start: (own: (stop: () => Promise<void>) => void) => Promise<Omit<RedisGroup, "stop">>,
): Promise<RedisGroup> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => void (await Promise.all(stops.map((stop) => stop())));
  try {
    return { ...(await start((stop) => stops.push(stop))), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Three primaries and then a replica of each, on loopback. */
export function startRedisCluster(nodeTimeoutMs = 1000): Promise<RedisGroup> {
  return startGroup(async (own) => {
    const settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", `${nodeTimeoutMs}`];
    const servers: RedisServer[] = [];
    while (servers.length < 6) {
      const server = await startRedisServer(settings);
      own(server.stop);
      servers.push(server);
    }
    const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
    await servers[0]!.cli("--cluster", "create", ...addresses, "--cluster-replicas", "1", "--cluster-yes");
    for (const server of servers) await untilReply(() => server.cli("CLUSTER", "INFO"), /cluster_state:ok/);
    for (const replica of servers.slice(3)) await untilSynced(replica);
    return { servers, broker: servers.map(({ url }) => url) };
  });
}

/** A primary, a replica, and three sentinels that know them as `chihaya`. */
export function startRedisSentinels(): Promise<RedisGroup> {
  return startGroup(async (own) => {
    const primary = await startRedisServer();
    own(primary.stop);
    const replica = await startRedisServer(["--replicaof", "127.0.0.1", `${primary.port}`]);
    own(replica.stop);
    await untilSynced(replica);
    const directory = mkdtempSync(join(tmpdir(), "chihaya-sentinel-"));
    const sentinels: RunningProcess[] = [];
    own(async () => {
      await Promise.all(sentinels.map((sentinel) => sentinel.stop()));
      rmSync(directory, { recursive: true, force: true });
    });
    const ports: number[] = [];
    while (ports.length < 3) {
      const port = await findFreePort();
      const sentinel = startSentinel(directory, port, primary.port);
      sentinels.push(sentinel);
      await untilOutput(sentinel, /\+monitor/);
      ports.push(port);
    }
    for (const port of ports) {
      // redis-cli takes the last `-p`
      const ask = () => primary.cli("-p", `${port}`, "SENTINEL", "MASTER", "chihaya");
      await untilReply(ask, /num-slaves\n1\n.*num-other-sentinels\n2\n/s);
    }
    return { servers: [primary, replica], broker: ports.map((port) => `redis://127.0.0.1:${port}/0`) };
  });
}

function startSentinel(directory: string, port: number, primaryPort: number): RunningProcess {
  const file = join(directory, `${port}.conf`);
  const lines = [
    `port ${port}`,
    "bind 127.0.0.1",
    `dir ${directory}`,
    `sentinel monitor chihaya 127.0.0.1 ${primaryPort} 2`,
    "sentinel down-after-milliseconds chihaya 500",
    "sentinel failover-timeout chihaya 2000",
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  // redis-sentinel is the same program, but Debian has it in a package of its own
  return startProcess("sentinel", "redis-server", [file, "--sentinel"]);
}
