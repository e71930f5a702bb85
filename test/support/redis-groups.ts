import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../e2e/ports.ts";
import { type RunningProcess, startProcess } from "../e2e/process.ts";
import { waitUntil } from "../e2e/wait-until.ts";
import { type RedisServer, startRedisServer, untilOutput } from "./redis-server.ts";

/** Redis servers of one group. */
export interface RedisGroup {
  servers: RedisServer[];
  /** Options of a store on this group. */
  broker: string[];
  stop(): Promise<void>;
}

/** Repeats a command until the reply is as expected. */
export async function untilReply(ask: () => Promise<string>, pattern: RegExp): Promise<void> {
  let reply = "";
  await waitUntil(
    () => `a reply like ${pattern}, after\n${reply}`,
    async () => {
      reply = await ask();
      return pattern.test(reply);
    },
  );
}

/** Waits until a replica has the data of its primary. */
export async function untilSynced(replica: RedisServer): Promise<void> {
  await untilReply(() => replica.cli("INFO", "replication"), /master_link_status:up/);
}

/**
 * Waits until the replicas of a group have every write to which their primaries have responded so far. A primary responds before
 * its replicas have a write, so a primary that dies takes its last writes along. `WAIT` by redis-cli does not help, because it
 * waits only for the writes of its own connection.
 */
export async function untilReplicated({ servers }: Pick<RedisGroup, "servers">): Promise<void> {
  const askAll = () => Promise.all(servers.map((server) => server.cli("INFO", "replication")));
  const before = await askAll();
  const written = new Map(
    before.map((reply, i) => [servers[i]!.port, numberIn(reply, "master_repl_offset")]),
  );
  let replies = before;
  await waitUntil(
    () => `every replica has what its primary had, after\n${before.join("\n")}\n${replies.join("\n")}`,
    async () => {
      replies = await askAll();
      const replicas = replies.filter((reply) => /^role:slave/m.test(reply));
      const isBehind = (reply: string): boolean =>
        !(numberIn(reply, "slave_repl_offset") >= written.get(numberIn(reply, "master_port"))!);
      return replicas.length > 0 && !replicas.some(isBehind);
    },
  );
}

function numberIn(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1]);
}

/**
 * Makes a replica of a cluster the primary. Waits until the others are connected to the replica: a vote for a replica that has
 * just restarted may be lost, and then the primary is paused for four seconds.
 */
export async function failOver(replica: RedisServer, servers: readonly RedisServer[]): Promise<void> {
  const linked = new RegExp(`:${replica.port}@.* connected`);
  for (const server of servers)
    if (server !== replica) await untilReply(() => server.cli("CLUSTER", "NODES"), linked);
  let attemptedMs = Number.NEGATIVE_INFINITY;
  let attempts = 0;
  const unmet = (): string =>
    `${replica.port} becomes primary, after ${attempts} attempts:\n${replica.process.output()}`;
  await waitUntil(unmet, async () => {
    if (/master/.test(await replica.cli("ROLE"))) return true;
    // An attempt times out after five seconds.
    if (performance.now() > attemptedMs + 6000) {
      attemptedMs = performance.now();
      attempts++;
      await replica.cli("CLUSTER", "FAILOVER");
    }
    return false;
  });
}

/**
 * Starts a group step by step. If a step fails, all servers that were passed to `own` are stopped: a running server would
 * keep the test file from ending.
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

/**
 * Starts three primaries and a replica of each on loopback.
 * @param nodeTimeoutMs  after which a replica takes over from a silent primary; longer than a busy machine lets a process wait
 */
export function startRedisCluster(nodeTimeoutMs = 3000): Promise<RedisGroup> {
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

/**
 * Starts a primary, a replica, and three sentinels that know the group as `chihaya`.
 * @param downAfterMs  after which the sentinels give up a silent primary; longer than a busy machine lets a process wait
 */
export function startRedisSentinels(downAfterMs = 3000): Promise<RedisGroup> {
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
      const sentinel = startSentinel(directory, port, primary.port, downAfterMs);
      sentinels.push(sentinel);
      await untilOutput(sentinel, /\+monitor/);
      ports.push(port);
    }
    for (const port of ports) {
      // redis-cli uses the last `-p`
      const ask = () => primary.cli("-p", `${port}`, "SENTINEL", "MASTER", "chihaya");
      await untilReply(ask, /num-slaves\n1\n.*num-other-sentinels\n2\n/s);
    }
    return { servers: [primary, replica], broker: ports.map((port) => `redis://127.0.0.1:${port}/0`) };
  });
}

function startSentinel(
  directory: string,
  port: number,
  primaryPort: number,
  downAfterMs: number,
): RunningProcess {
  const file = join(directory, `${port}.conf`);
  const lines = [
    `port ${port}`,
    "bind 127.0.0.1",
    `dir ${directory}`,
    `sentinel monitor chihaya 127.0.0.1 ${primaryPort} 2`,
    `sentinel down-after-milliseconds chihaya ${downAfterMs}`,
    "sentinel failover-timeout chihaya 10000",
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  // redis-sentinel is the same program, but Debian has a separate package for it
  return startProcess("sentinel", "redis-server", [file, "--sentinel"]);
}
