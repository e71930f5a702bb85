import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { testHook } from "chihaya/testing";
import announceLog from "./announce-log.ts";

const as = "posthook";
const written = "announce_log_written_total";
const dropped = "announce_log_dropped_total";

function temporaryFile(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "announce-log-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return join(directory, "announces.jsonl");
}

/** Starts a server that keeps the posted bodies, or fails with the status that the test sets. */
async function startServer(t: TestContext) {
  const server = { url: "", status: 200, posted: [] as string[] };
  const http = createServer(async (request, response) => {
    const chunks = await request.toArray();
    if (server.status === 200) server.posted.push(Buffer.concat(chunks).toString());
    response.writeHead(server.status).end();
  });
  await once(http.listen(0, "127.0.0.1"), "listening");
  server.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/`;
  t.after(() => {
    http.closeAllConnections();
    http.close();
  });
  return server;
}

describe("announce log", () => {
  test("writes a line for each announce, at the latest during the stop", async (t) => {
    const to = temporaryFile(t);
    const hook = await testHook(announceLog, { to, batch: 2 }, { as });
    hook.clock.unixSeconds = 1_800_000_000;
    for (const port of [1, 2, 3]) await hook.announce({ port, event: "started", left: 0n, uploaded: 5n });
    await hook.stop();
    const lines = readFileSync(to, "utf8").trimEnd().split("\n");
    assert.equal(lines.length, 3);
    assert.deepEqual(JSON.parse(lines[2]!), {
      time: 1_800_000_000,
      infoHash: "aa".repeat(20),
      ip: "192.0.2.1",
      port: 3,
      event: "started",
      seeder: true,
      uploaded: 5,
      downloaded: 0,
    });
    assert.equal(hook.metric(written), 3);
    assert.equal(hook.metric(dropped), 0);
  });

  test("posts full batches, and waiting lines after the flush time", async (t) => {
    const server = await startServer(t);
    t.mock.timers.enable({ apis: ["setInterval"] });
    const hook = await testHook(announceLog, { to: server.url, batch: 10, flush_seconds: 3 }, { as });
    for (let port = 1; port <= 3; port++) await hook.announce({ port });
    assert.equal(server.posted.length, 0);
    t.mock.timers.tick(3000);
    while (hook.metric(written) < 3) await new Promise(setImmediate);
    for (let port = 4; port <= 28; port++) await hook.announce({ port });
    await hook.stop();
    const ports = server.posted.map((lines) =>
      [...lines.matchAll(/"port":(\d+)/g)].map(([, port]) => +port!),
    );
    assert.deepEqual(ports[0], [1, 2, 3]);
    assert.deepEqual(
      ports.flat(),
      Array.from({ length: 28 }, (_, i) => i + 1),
    );
    assert.ok(ports.every((batch) => batch.length <= 10));
  });

  test("keeps lines that cannot be sent, up to a bound, and counts the dropped ones", async (t) => {
    const server = await startServer(t);
    server.status = 503;
    const hook = await testHook(announceLog, { to: server.url, batch: 2, buffer: 4 }, { as });
    for (let port = 1; port <= 6; port++) await hook.announce({ port });
    assert.equal(hook.metric(dropped), 2);
    while (hook.log.length === 0) await new Promise(setImmediate);
    assert.equal(hook.log[0]!.message, "cannot write announces; will try again");
    server.status = 200;
    await hook.stop();
    assert.equal(hook.metric(written), 4);
    assert.equal(hook.metric(dropped), 2);
  });

  test("lines that cannot be sent by the stop are dropped", async (t) => {
    const server = await startServer(t);
    server.status = 503;
    const hook = await testHook(announceLog, { to: server.url }, { as });
    await hook.announce();
    await hook.stop();
    assert.equal(hook.metric(dropped), 1);
  });

  test("options are checked", async () => {
    await assert.rejects(testHook(announceLog, {}, { as }), /options\.to: expected a file or a URL/);
    await assert.rejects(testHook(announceLog, { to: "x", batch: 0 }, { as }), /options\.batch: expected/);
    await assert.rejects(testHook(announceLog, { to: "x", btch: 1 }, { as }), /options\.btch: unknown/);
  });
});
