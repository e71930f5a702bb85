import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { temporaryDirectory } from "../../test/support/daemon.ts";
import { listEngines } from "../../test/support/networks.ts";
import { load, Supervised } from "../../test/support/supervised.ts";
import { UdpClient } from "../../test/support/udp.ts";
import { createAnnounceRequest, createConnectRequest } from "../protocol/udp/client.ts";

const skip = (await listEngines()).find(({ name }) => name === "linux")!.skip;
const module = new URL("../../test/fixtures/spinning-hook.ts", import.meta.url).href;

/** Starts two workers whose hook can hang. `log` is what the hook has written. */
async function start(t: TestContext) {
  const directory = temporaryDirectory(t);
  const [logFile, busy] = [join(directory, "log"), join(directory, "busy")];
  writeFileSync(logFile, "");
  writeFileSync(busy, "");
  const options = { log: logFile, busy };
  const hook = { name: "module", module, options, timeout: 10, maxInFlight: 100 } as const;
  const supervised = new Supervised(2, { ...load("network=linux"), preHooks: [hook] });
  t.after(() => rmSync(busy, { force: true })); // before the stop
  await supervised.start(t);
  const port = Number(new URL(supervised.supervisor.urls().find((url) => url.startsWith("udp:"))!).port);
  const open = async () => {
    const client = await UdpClient.open(4, port);
    t.after(() => client.close());
    return client;
  };
  return { open, log: () => readFileSync(logFile, "utf8").trim().split("\n") };
}

const infoHash = new Uint8Array(20);
const peer = { transactionId: 1, infoHash, peerId: infoHash };

test("a worker that hangs while it receives all datagrams stops them for a few seconds", {
  skip,
}, async (t) => {
  const { open, log } = await start(t);
  const announce = async (port: number) =>
    createAnnounceRequest({ ...peer, port, connectionId: await (await open()).connect() });

  // With little to do, one thread soon receives all. Each announce is from another port.
  const streak = 16;
  for (let i = 0; i < streak || new Set(log().slice(-streak)).size > 1; i++) {
    assert.ok(i < 100 * streak, "one worker receives all");
    await (await open()).ask(await announce(2));
    await pause(10);
  }
  (await open()).send(await announce(1));
  const clients = await Promise.all(Array.from({ length: streak }, open));
  const answers = clients.map((client) => client.receive());
  const repeat = setInterval(() => {
    for (const client of clients) client.send(createConnectRequest(7));
  }, 100);
  await Promise.any(answers);
  clearInterval(repeat);
  assert.ok(!log().includes("gave up"), "another worker responds while the first hangs");
});
