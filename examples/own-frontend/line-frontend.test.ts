import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { createTracker, useFrontend } from "chihaya";
import lines from "./line-frontend.ts";

const infoHash = "0123456789abcdef0123456789abcdef01234567";

async function start(t: TestContext) {
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const frontends = [useFrontend(lines, { listen })];
  const tracker = createTracker({ http: { listen }, udp: false, frontends });
  await tracker.start();
  t.after(() => tracker.stop(0));
  const { port } = new URL(tracker.urls().find((url) => url.startsWith("lines:")) ?? "");
  const http = tracker.urls().find((url) => url.startsWith("http:")) ?? "";
  return { tracker, http, ask: (line: string) => ask(Number(port), line) };
}

async function ask(port: number, line: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end(`${line}\n`);
  const [bytes] = await once(socket, "data");
  return `${bytes}`.trim();
}

test("peers of lines and of HTTP are in one swarm", async (t) => {
  const { ask, http } = await start(t);
  assert.equal(await ask(`announce ${infoHash} 6881 0`), "1800 1 0 127.0.0.1:6881"); // alone, a peer gets itself
  const query = `info_hash=${infoHash.replace(/../g, "%$&")}&peer_id=-XX0001-123456789012&port=6882&left=1&compact=1`;
  const response = Buffer.from(await (await fetch(`${http}/announce?${query}`)).arrayBuffer());
  assert.ok(response.includes(Buffer.from([127, 0, 0, 1, 6881 >> 8, 6881 & 255])));
  assert.equal(await ask(`announce ${infoHash} 6883 1`), "1800 1 2 127.0.0.1:6881 127.0.0.1:6882");
});

test("a line that is no announce gets an error", async (t) => {
  const { ask } = await start(t);
  assert.equal(await ask("hello"), "error: expected announce INFOHASH PORT LEFT");
});

test("metrics count the requests", async (t) => {
  const { tracker, ask } = await start(t);
  await ask(`announce ${infoHash} 6881 0`);
  await ask("hello");
  const text = await tracker.renderMetrics();
  assert.match(text, /^chihaya_lines_response_duration_milliseconds_count\{action="announce",.*\} 1$/m);
  assert.match(text, /^chihaya_lines_rejected_total\{reason="malformed"\} 1$/m);
});

test("a reload changes the options that it can", async (t) => {
  const { tracker, ask } = await start(t);
  await ask(`announce ${infoHash} 6881 0`);
  const listen = [{ host: "127.0.0.1", port: 1 }];
  const needsRestart = await tracker.reload({ frontends: [useFrontend(lines, { listen, maxNumWant: 0 })] });
  assert.deepEqual(needsRestart, ["frontends[0].options.addr"]);
  assert.equal(await ask(`announce ${infoHash} 6882 1`), "1800 1 1");
});
