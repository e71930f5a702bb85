import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { Worker } from "node:worker_threads";
import { certificates } from "../../../test/fixtures/certificates.ts";
import { announceQuery } from "../../../test/fixtures/http-server.ts";
import { listEngines } from "../../../test/support/networks.ts";
import type { Hook } from "../../middleware/hook.ts";
import { createTracker, type EmbeddedTracker } from "../../tracker/create-tracker.ts";

const skip = (await listEngines()).find(({ name }) => name === "linux")!.skip;

/** Requests of each kind. */
const requests = 100;

/** How often libuv has waited in this thread. */
function turns(): number {
  return performance.nodeTiming.uvMetricsInfo.loopCount;
}

/** A connection of Node.js to a server that responds at once, as Redis does. */
async function openEcho(t: TestContext): Promise<Socket> {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1").setNoDelay();
  t.after(() => {
    client.destroy();
    server.close();
  });
  await once(client, "connect");
  return client;
}

/** A tracker over TLS and UDP. Its hook waits for the echo where the query has `wait`. */
async function start(t: TestContext, networkCoalesce: number): Promise<EmbeddedTracker> {
  const echo = await openEcho(t);
  const hook: Hook = {
    name: "waiting",
    async handleAnnounce({ params }) {
      if (params.get("wait") === undefined) return;
      echo.write("x");
      await once(echo, "data");
    },
  };
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const tracker = createTracker({
    network: "linux",
    networkCoalesce,
    http: { listen: [], listenTls: listen, tls: certificates[0], keepAlive: true },
    udp: { listen },
    preHooks: [hook],
  });
  await tracker.start();
  t.after(() => tracker.stop());
  return tracker;
}

function portOf(tracker: EmbeddedTracker, scheme: string): number {
  return Number(new URL(tracker.urls().find((url) => url.startsWith(`${scheme}:`))!).port);
}

/**
 * Sends UDP requests from another thread, 16 each millisecond, until the end of the test. With a bound of 10 ms the poller coalesces
 * them.
 */
async function flood(t: TestContext, port: number): Promise<void> {
  const script = `
    const { parentPort, workerData } = require("node:worker_threads");
    const socket = require("node:dgram").createSocket("udp4");
    const request = Buffer.from("0000041727101980" + "00000000" + "00000001", "hex");
    setInterval(() => {
      for (let i = 0; i < 16; i++) socket.send(request, workerData, "127.0.0.1");
    }, 1);
    let received = 0;
    socket.on("message", () => { if (++received === 1000) parentPort.postMessage("under way"); });`;
  const worker = new Worker(script, { eval: true, workerData: port });
  t.after(() => worker.terminate());
  await once(worker, "message");
}

/** Returns the median number of turns from a request to its response. The requests follow each other. */
async function countTurns(client: TLSSocket, query: string): Promise<number> {
  const counts: number[] = [];
  for (let i = 0; i < requests; i++) {
    const before = turns();
    client.write(`GET /announce?${announceQuery()}${query} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const [bytes] = await once(client, "data");
    assert.match(`${bytes}`, /8:complete/);
    counts.push(turns() - before);
  }
  return counts.sort((a, b) => a - b)[requests / 2]!;
}

for (const coalesce of [0, 0.001, 0.01]) {
  test(`with a bound of ${coalesce} s, UDP costs a TLS request and a waiting hook no turn`, {
    skip,
  }, async (t) => {
    const tracker = await start(t, coalesce);
    const client = connectTls({
      port: portOf(tracker, "https"),
      host: "127.0.0.1",
      rejectUnauthorized: false,
    });
    t.after(() => client.destroy());
    await once(client, "secureConnect");
    const alone = [await countTurns(client, ""), await countTurns(client, "&wait=1")];
    await flood(t, portOf(tracker, "udp"));
    const beside = [await countTurns(client, ""), await countTurns(client, "&wait=1")];
    assert.deepEqual(beside, alone);
  });
}
