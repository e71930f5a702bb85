import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

/** Running servers, which are killed when this process exits. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Returns the processors for a server with `threads` busy threads: the first ones. The load runs on the last processor. */
export function serverCores(threads: number): string {
  return Array.from({ length: Math.min(threads, availableParallelism()) }, (_, core) => core).join(",");
}

/**
 * Pins this process, which runs the load, to the last processor. The load then shares no processor with a server that has
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

/** A server in its own process, pinned to its processors. */
export class Server {
  readonly ports: ServerPorts;
  readonly #child: ChildProcess;
  readonly #log: string;

  /** @param threads  number of threads that work at the same time */
  constructor(command: readonly string[], ports: ServerPorts, directory: string, threads: number) {
    this.ports = ports;
    this.#log = join(directory, `server-${ports.udp}.log`);
    const log = openSync(this.#log, "w");
    // taskset replaces itself by the server, so the id of the child is that of the server.
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

  /** Waits until `isReady` returns true. @throws Error with the end of the log if the server ends or takes a minute */
  async ready(isReady: () => Promise<boolean>): Promise<this> {
    for (let attempt = 0; attempt < 600 && running.has(this.#child); attempt++) {
      if (await isReady().catch(() => false)) return this;
      await wait(100);
    }
    throw new Error(`the server does not start: ${readFileSync(this.#log, "utf8").slice(-1000)}`);
  }

  /** Milliseconds of processor time, user and system, of all threads that run. */
  cpuMs(): number {
    return [...this.threadsMs().values()].reduce((sum, each) => sum + each, 0);
  }

  /** Returns the CPU time of the threads by name, in milliseconds. Node.js's own threads are "main thread" and "worker". */
  threadsMs(): Map<string, number> {
    const tasks = `/proc/${this.pid}/task`;
    const times = new Map<string, number>();
    for (const task of readdirSync(tasks)) {
      const command = readFileSync(`${tasks}/${task}/comm`, "latin1").trim();
      const name = command !== "MainThread" ? command : task === `${this.pid}` ? "main thread" : "worker";
      const ms = Number(readFileSync(`${tasks}/${task}/schedstat`, "latin1").split(" ")[0]) / 1e6;
      times.set(name, (times.get(name) ?? 0) + ms);
    }
    return times;
  }

  /** Returns the resident memory in MiB. */
  rssMiB(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))![1]) / 1024;
  }

  /** Returns the value of a metric of this tracker, summed over its labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.ports.metrics}/metrics`)).text();
    const lines = text
      .split("\n")
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    if (lines.length === 0) throw new Error(`${name}: no such metric`);
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  /** Stops the server; kills it after ten seconds. */
  async stop(): Promise<void> {
    if (!running.has(this.#child)) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const force = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await exited;
    clearTimeout(force);
  }
}
