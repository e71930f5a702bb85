/** A log that nobody can write or read must not hold up the tracker, nor end it. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { findFreePort } from "../e2e/ports.ts";
import { announceQuery } from "../fixtures/http-server.ts";
import { main, temporaryDirectory, toYaml } from "../support/daemon.ts";
import { createPipe } from "../support/pipe.ts";

/** A hook that logs 200 KB with each announce. */
const linesOfAnnounce = 200;
const talkative = `
  export default {
    name: "talkative",
    create: (_, { logger }) => ({
      name: "talkative",
      handleAnnounce() {
        for (let i = 0; i < ${linesOfAnnounce}; i++) logger.error({ i }, "x".repeat(1000));
      },
    }),
  };
`;

interface Quiet {
  child: ChildProcess;
  directory: string;
  announce(): Promise<number>;
  /** The value of a metric. */
  metric(name: string): Promise<number>;
  stop(): Promise<{ code: number | null; signal: string | null }>;
}

/** Starts a tracker whose log goes to a descriptor, and waits until it is ready. */
async function startWithLog(t: TestContext, stderr: number | "pipe", workers: number): Promise<Quiet> {
  const directory = temporaryDirectory(t);
  const [http, metrics] = [await findFreePort(), await findFreePort()];
  writeFileSync(join(directory, "talkative.mjs"), talkative);
  const file = join(directory, "chihaya.yaml");
  const config = {
    metrics_addr: `127.0.0.1:${metrics}`,
    http: { addr: `127.0.0.1:${http}` },
    workers,
    prehooks: [{ module: "./talkative.mjs" }],
  };
  writeFileSync(file, toYaml(config));
  const child = spawn(process.execPath, [main, "--json", "--config", file], {
    stdio: ["ignore", "ignore", stderr],
  });
  const exited = once(child, "exit");
  let isOver = false;
  void exited.then(() => {
    isOver = true;
  });
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  const get = (port: number, path: string) =>
    fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close" } });
  for (;;) {
    assert.ok(!isOver, `ended at its start with ${child.exitCode ?? child.signalCode}`);
    if (
      await get(metrics, "/readyz").then(
        ({ ok }) => ok,
        () => false,
      )
    )
      break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    child,
    directory,
    announce: async () => (await get(http, `/announce?${announceQuery()}`)).status,
    metric: async (name) => {
      const text = await (await get(metrics, "/metrics")).text();
      return Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
    },
    stop: async () => {
      child.kill("SIGTERM");
      const [code, signal] = await exited;
      return { code, signal };
    },
  };
}

const dropped = "chihaya_log_dropped_total";

/** Waits until so many lines are dropped: a worker hands its lines to the main thread. */
async function untilDropped(tracker: Quiet, lines: number): Promise<void> {
  while ((await tracker.metric(dropped)) < lines) await new Promise(setImmediate);
}

for (const workers of [1, 2]) {
  test(`a log on a full disk drops lines, and everything else continues: ${workers} worker(s)`, async (t) => {
    const full = openSync("/dev/full", "w");
    t.after(() => closeSync(full));
    const tracker = await startWithLog(t, full, workers);
    await untilDropped(tracker, 1);
    assert.equal(await tracker.announce(), 200);
    await untilDropped(tracker, linesOfAnnounce);
    assert.deepEqual(await tracker.stop(), { code: 0, signal: null });
  });

  test(`a log whose reader is gone drops lines, and everything else continues: ${workers} worker(s)`, async (t) => {
    const { reader, writer } = createPipe(t);
    const tracker = await startWithLog(t, writer, workers);
    closeSync(writer);
    closeSync(reader);
    assert.equal(await tracker.announce(), 200);
    await untilDropped(tracker, linesOfAnnounce);
    assert.deepEqual(await tracker.stop(), { code: 0, signal: null });
  });

  test(`a log whose reader stalls waits in a bounded buffer, and goes on with it: ${workers} worker(s)`, async (t) => {
    const { reader, writer } = createPipe(t);
    t.after(() => closeSync(reader));
    const tracker = await startWithLog(t, writer, workers);
    closeSync(writer);
    assert.equal(await tracker.metric(dropped), 0);
    const announces = 10;
    for (let i = 0; i < announces; i++) assert.equal(await tracker.announce(), 200);
    await untilDropped(tracker, 1);
    let text = "";
    const read = readAll(reader, (chunk) => {
      text += chunk;
    });
    // A stop before all of it has been read would drop its own lines, or give up on a reader that a busy machine delays.
    const readOrDropped = async () => text.split('"i":').length - 1 + (await tracker.metric(dropped));
    while ((await readOrDropped()) < announces * linesOfAnnounce) await new Promise(setImmediate);
    assert.ok(text.length > 1_000_000, `${text.length} bytes waited`);
    assert.deepEqual(await tracker.stop(), { code: 0, signal: null });
    await read; // the tracker has closed its end
    const lines = text.trimEnd().split("\n");
    for (const line of lines) JSON.parse(line);
    assert.equal(JSON.parse(lines[0]!).msg, "starting chihaya");
    assert.equal(JSON.parse(lines.at(-1)!).msg, "stopped");
  });

  test(`a socket that nobody reads does not hold up the tracker either: ${workers} worker(s)`, async (t) => {
    const tracker = await startWithLog(t, "pipe", workers); // Node makes a pair of sockets
    for (let i = 0; i < 10; i++) assert.equal(await tracker.announce(), 200);
    assert.deepEqual(await tracker.stop(), { code: 0, signal: null });
  });

  test(`a reader that never reads does not keep the tracker from stopping: ${workers} worker(s)`, async (t) => {
    const { reader, writer } = createPipe(t);
    t.after(() => closeSync(reader));
    const tracker = await startWithLog(t, writer, workers);
    closeSync(writer);
    for (let i = 0; i < 10; i++) assert.equal(await tracker.announce(), 200);
    assert.deepEqual(await tracker.stop(), { code: 0, signal: null });
  });
}

/** Reads from a pipe until all writers have closed it. */
async function readAll(fd: number, take: (text: string) => void): Promise<void> {
  const chunk = Buffer.alloc(65_536);
  for (;;) {
    try {
      const length = readSync(fd, chunk);
      if (length === 0) return;
      take(chunk.toString("latin1", 0, length));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
    await new Promise(setImmediate);
  }
}
