import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Worker } from "node:worker_threads";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { restartMarks } from "../../src/config/restart-marks.ts";
import { settle } from "../../src/config/settle.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { type Logger, silentLogger } from "../../src/observability/logger.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { renderPrometheus } from "../../src/observability/prometheus.ts";
import { Supervisor } from "../../src/process/supervisor.ts";
import { type CreateWorker, createWorker } from "../../src/process/worker-thread.ts";
import { MemoryStore, type MemoryStoreConfig } from "../../src/storage/memory/memory-store.ts";
import { releaseLocks } from "../../src/storage/memory/repair.ts";
import { LocalHub } from "../../src/tracker/share-hub.ts";
import { announceQuery, RawClient } from "../fixtures/http-server.ts";

/** Configuration of a tracker with two listeners on loopback, through Node.js unless `set` overrides it. */
export function load(...set: string[]): Config {
  const loaded = loadConfig({
    env: {},
    set: [
      "http.addr=127.0.0.1:0",
      "udp.addr=127.0.0.1:0",
      "network=portable",
      "storage.config.max_peers=1000",
      ...set,
    ],
  });
  assert.ok(loaded.ok);
  return loaded.config;
}

/** A supervisor in this process whose threads the test can reach. */
export class Supervised {
  readonly workers: Worker[] = [];
  readonly lines: string[] = [];
  readonly supervisor: Supervisor;
  readonly #wake: (() => void)[] = [];

  constructor(count: number, config: Config = load(), create: CreateWorker = createWorker) {
    const clock = { seconds: 1000, unixSeconds: 1000 };
    assert.ok(config.storage.name === "memory");
    const storeConfig = config.storage.config as MemoryStoreConfig;
    const { memory } = new MemoryStore({ config: storeConfig, clock, random: createRandom(1) });
    const store = { memory, release: (owner: number) => releaseLocks(memory, owner) };
    const logger: Logger = {
      ...silentLogger,
      error: (_, message) => this.#record(message),
    };
    const random = createRandom(2);
    const hub = new LocalHub({ clock, random });
    const parts = { config, store, clock, random, metrics: new Metrics(), logger, hub };
    this.supervisor = new Supervisor(parts, count, (start) => {
      const worker = create(start);
      this.workers.push(worker);
      this.#record(`worker ${this.workers.length}`);
      return worker;
    });
  }

  /** Reloads the workers with a configuration. @returns the names that need a restart */
  async reload(next: Config): Promise<string[]> {
    const { config, needsRestart } = settle(this.supervisor.config, next, restartMarks(next));
    await this.supervisor.reload(config);
    return needsRestart;
  }

  async start(t: TestContext): Promise<void> {
    t.after(() => this.supervisor.stop(0));
    await this.supervisor.start();
  }

  #record(line: string): void {
    this.lines.push(line);
    for (const wake of this.#wake.splice(0)) wake();
  }

  async until(line: string): Promise<void> {
    while (!this.lines.includes(line)) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  async untilReady(): Promise<void> {
    while (Object.values(await this.supervisor.readiness()).some((state) => state !== true)) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  get port(): number {
    return Number(new URL(this.supervisor.urls().find((url) => url.startsWith("http:"))!).port);
  }

  /** Announces over a new connection. */
  async announce(t: TestContext, port: number): Promise<string> {
    const client = new RawClient(t, this.port);
    const { body } = await client.get(`/announce?${announceQuery({ port: `${port}`, compact: "1" })}`);
    return body;
  }

  async metric(line: RegExp): Promise<number> {
    const text = renderPrometheus(await this.supervisor.scrape());
    return [...text.matchAll(line)].reduce((sum, [, value]) => sum + Number(value), 0);
  }
}
