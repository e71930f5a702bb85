import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../e2e/ports.ts";
import { canRun, type RunningProcess, startProcess } from "../e2e/process.ts";

/** A redis-server of the test's own, on loopback, that keeps nothing on disk. */
export interface RedisServer {
  readonly port: number;
  readonly url: string;
  readonly process: RunningProcess;
  /** Runs redis-cli against it. @returns what it printed */
  cli(...args: string[]): Promise<string>;
  /** Ends it and starts it again, with all it had on disk. @param settings  in place of those that it had */
  restart(settings?: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

/** False, or why tests with an engine are skipped; with CHIHAYA_REQUIRE_CLIENTS=1 a missing one fails them. */
export const withoutRedis: string | false = await reasonWithoutRedis();

async function reasonWithoutRedis(): Promise<string | false> {
  if (process.env.CHIHAYA_REQUIRE_CLIENTS === "1") return false;
  for (const program of ["redis-server", "redis-cli"]) {
    if (!(await canRun(program, ["--version"])))
      return `${program} is not installed (apt install redis-server)`;
  }
  return false;
}

/** Starts a server and waits until it takes commands. @param port  a free one where it is absent */
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
  return {
    port,
    url: `redis://127.0.0.1:${port}/0`,
    get process() {
      return process;
    },
    cli: (...args) => redisCli(port, args),
    async restart(own = settings) {
      await process.stop();
      process = await start(own);
    },
    async stop() {
      await process.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Waits until a program has written something, or rejects when it has ended. */
export async function untilOutput(process: RunningProcess, pattern: RegExp): Promise<void> {
  while (!pattern.test(process.output())) {
    if (process.ended !== undefined)
      throw new Error(`${process.name} ended with ${process.ended}: ${process.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function redisCli(port: number, args: readonly string[]): Promise<string> {
  const cli = startProcess("redis-cli", "redis-cli", ["-p", `${port}`, ...args]);
  while (cli.ended === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  if (typeof cli.ended === "string") throw new Error(`redis-cli: ${cli.ended}`); // could not be started, or was killed
  return cli.output();
}
