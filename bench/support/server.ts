import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

/** Servers that run: ended by force when this process exits. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Processors of a server with as many threads that matter: the first ones. The load has the last one. */
export function serverCores(threads: number): string {
  return Array.from({ length: Math.min(threads, availableParallelism()) }, (_, core) => core).join(",");
}

/**
 * Keeps this process, which makes the load, on the last processor, and so apart from the servers, as long as those have
 * fewer threads than there are processors.
 */
export function pinLoad(): void {
  const core = `${availableParallelism() - 1}`;
  execFileSync("taskset", ["-acp", core, `${process.pid}`], { stdio: "ignore" });
}

export interface ServerPorts {
  udp: number;
  http: number;
  metrics: number;
}

/** A server in a process of its own, pinned to its processors. */
export class Server {
  readonly ports: ServerPorts;
  readonly #child: ChildProcess;
  readonly #log: string;

  /** @param threads  threads that work at the same time */
  constructor(command: readonly string[], ports: ServerPorts, directory: string, threads: number) {
    this.ports = ports;
    this.#log = join(directory, `server-${ports.udp}.log`);
    const log = openSync(this.#log, "w");
    // `exec` in the place of taskset: the child's id is the server's.
    this.#child = spawn("taskset", ["-c", serverCores(threads), ...command], {
      stdio: ["ignore", log, log],
      cwd: directory,
    });
    closeSync(log);
    running.add(this.#child);
    this.#child.once("exit", () => running.delete(this.#child));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Waits until `isReady` says so. @throws Error with the end of its log, when the server ends or takes a minute */
  async ready(isReady: () => Promise<boolean>): Promise<this> {
    for (let attempt = 0; attempt < 600 && running.has(this.#child); attempt++) {
      if (await isReady().catch(() => false)) return this;
      await wait(100);
    }
    throw new Error(`it does not start: ${readFileSync(this.#log, "utf8").slice(-1000)}`);
  }

  /** Milliseconds of processor time, user and system, of all threads so far; in steps of ten. */
  cpuMs(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  /** Resident memory in MiB. */
  rssMiB(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))![1]) / 1024;
  }

  /** The value of a metric of this tracker, the sum over its labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.ports.metrics}/metrics`)).text();
    const lines = text
      .split("\n")
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    if (lines.length === 0) throw new Error(`${name}: no such metric`);
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  /** Asks it to stop, and ends it by force after ten seconds. */
  async stop(): Promise<void> {
    if (!running.has(this.#child)) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const force = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await exited;
    clearTimeout(force);
  }
}
