import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../e2e/ports.ts";
import { type RunningProcess, startProcess, withoutProgram } from "../e2e/process.ts";
import { waitUntil } from "../e2e/wait-until.ts";

/** A redis-server for one test, on loopback, that writes nothing to disk. */
export interface RedisServer {
  readonly port: number;
  readonly url: string;
  readonly process: RunningProcess;
  /** Runs redis-cli on this server. @returns the output; rejects after {@link stop} */
  cli(...args: string[]): Promise<string>;
  /** Restarts the server with its data on disk. @param settings  replace the earlier settings */
  restart(settings?: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

/** False, or the reason to skip tests with Redis. With CHIHAYA_REQUIRE_CLIENTS=1, they fail instead if Redis is missing. */
export const withoutRedis: string | false =
  (await withoutProgram("redis-server", ["--version"], "apt install redis-server")) ||
  (await withoutProgram("redis-cli", ["--version"], "apt install redis-server"));

/** Starts a server and waits until it accepts commands. @param port  default: a free port */
export async function startRedisServer(
  settings: readonly string[] = [],
  port?: number,
): Promise<RedisServer> {
  port ??= await findFreePort();
  const directory = mkdtempSync(join(tmpdir(), "chihaya-redis-"));
  const place = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", directory];
  const replication = ["--repl-diskless-sync-delay", "0"];
  const start = async (own: readonly string[]): Promise<RunningProcess> => {
    const all = [...place, ...replication, "--save", "", ...own];
    const process = startProcess("redis-server", "redis-server", all);
    await untilOutput(process, /Ready to accept connections/);
    return process;
  };
  let process = await start(settings);
  let isStopped = false;
  const checkRunning = (): void => {
    if (isStopped) throw new Error(`the redis-server on port ${port} has been stopped`);
  };
  return {
    port,
    url: `redis://127.0.0.1:${port}/0`,
    get process() {
      return process;
    },
    async cli(...args) {
      checkRunning();
      return redisCli(port, args);
    },
    async restart(own = settings) {
      await process.stop();
      checkRunning();
      process = await start(own);
      if (isStopped) await process.stop();
    },
    async stop() {
      isStopped = true;
      await process.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Waits until the output of a program matches `pattern`. Rejects if the program ends before. */
export async function untilOutput(process: RunningProcess, pattern: RegExp): Promise<void> {
  const unmet = (): string => `${process.name} writes ${pattern}, after ${process.output()}`;
  await waitUntil(unmet, () => {
    if (pattern.test(process.output())) return true;
    if (process.ended === undefined) return false;
    throw new Error(`${process.name} ended with ${process.ended}: ${process.output()}`);
  });
}

/** Waits until a store is ready. */
export async function untilReady(store: { readonly readiness: true | string }): Promise<void> {
  await waitUntil(
    () => `the store is ready: ${store.readiness}`,
    () => store.readiness === true,
  );
}

async function redisCli(port: number, args: readonly string[]): Promise<string> {
  const cli = startProcess("redis-cli", "redis-cli", ["-p", `${port}`, ...args]);
  const unmet = (): string => `redis-cli ${args.join(" ")} of port ${port} ends, after ${cli.output()}`;
  await waitUntil(unmet, () => cli.ended !== undefined).finally(() => cli.stop());
  if (typeof cli.ended === "string") throw new Error(`redis-cli: ${cli.ended}`); // could not be started, or was killed
  return cli.output();
}
