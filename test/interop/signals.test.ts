/** Signals that come at any moment. A named pipe as the configuration holds the tracker at the reading of it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { main, Program, temporaryDirectory, toYaml } from "../support/daemon.ts";

class PipedTracker extends Program {
  readonly #pipe: string;

  constructor(t: TestContext) {
    const pipe = join(temporaryDirectory(t), "chihaya.yaml");
    execFileSync("mkfifo", [pipe]);
    super(t, process.execPath, [main, "--json", "--config", pipe]);
    this.#pipe = pipe;
  }

  /** Waits until it reads its configuration, does something meanwhile, and then lets it have one. */
  configure(meanwhile: () => void = () => undefined): void {
    const fd = openSync(this.#pipe, "w");
    meanwhile();
    writeFileSync(fd, toYaml({}));
    closeSync(fd);
  }

  serves(): Promise<unknown> {
    return this.until(({ url }) => url?.startsWith("udp:") === true);
  }

  reloads(): (string | undefined)[] {
    return this.lines.filter(({ msg }) => msg === "configuration reloaded").map(({ signal }) => signal);
  }

  reloaded(times: number): Promise<unknown> {
    return this.until(() => this.reloads().length >= times);
  }
}

for (const signal of ["SIGHUP", "SIGUSR1"] as const) {
  test(`${signal} before there is a tracker is a reload once there is one`, async (t) => {
    const tracker = new PipedTracker(t);
    tracker.configure(() => tracker.child.kill(signal));
    await tracker.serves();
    tracker.configure();
    await tracker.reloaded(1);
    assert.deepEqual(tracker.reloads(), [signal]);
    tracker.child.kill("SIGTERM");
    assert.deepEqual(await tracker.ended, { code: 0, signal: null });
  });
}

test("SIGTERM before there is a tracker ends the process, also where it is the first of a container", async (t) => {
  const tracker = new PipedTracker(t);
  tracker.configure(() => tracker.child.kill("SIGTERM"));
  assert.deepEqual(await tracker.ended, { code: 0, signal: null });
});

test("signals that come during a reload have one more follow it", async (t) => {
  const tracker = new PipedTracker(t);
  tracker.configure();
  await tracker.serves();
  tracker.child.kill("SIGHUP");
  tracker.configure(() => {
    for (let i = 0; i < 1000; i++) tracker.child.kill("SIGHUP");
  });
  await tracker.reloaded(1);
  tracker.configure();
  await tracker.reloaded(2);
  tracker.child.kill("SIGUSR1");
  tracker.configure();
  await tracker.reloaded(3);
  assert.deepEqual(tracker.reloads(), ["SIGHUP", "SIGHUP", "SIGUSR1"]);
});

test("a stop before the start is complete ends the process", async (t) => {
  const directory = temporaryDirectory(t);
  const hook = `export default { name: "slow", create: (_, { logger }) => ({
    start: () => { logger.warn({}, "starting slowly"); return new Promise(() => undefined) } }) };`;
  writeFileSync(join(directory, "slow.mjs"), hook);
  const file = join(directory, "chihaya.yaml");
  writeFileSync(file, toYaml({ prehooks: [{ module: "./slow.mjs" }] }));
  const tracker = new Program(t, process.execPath, [main, "--json", "--config", file]);
  await tracker.until(({ msg }) => msg === "starting slowly");
  tracker.child.kill("SIGTERM");
  assert.deepEqual(await tracker.ended, { code: 0, signal: null });
});
