/** Every series is there, at 0, before it counts: one that appears with its first failure has no increase to be alerted by. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { createRandom } from "../../src/lib/clock.ts";
import type { Hook } from "../../src/middleware/hook.ts";
import { withDeadline } from "../../src/middleware/with-deadline.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { MemoryStore, type MemoryStoreConfig } from "../../src/storage/memory/memory-store.ts";
import { composeSettings } from "../../src/tracker/compose.ts";
import { LocalHub } from "../../src/tracker/share-hub.ts";
import { Tracker } from "../../src/tracker/tracker.ts";

const directory = mkdtempSync(join(tmpdir(), "chihaya-series-"));
after(() => rmSync(directory, { recursive: true }));

const list = join(directory, "list.txt");
writeFileSync(list, `${"aa".repeat(20)}\n`);
const file = join(directory, "chihaya.yaml");
/** One of each built-in hook; those that refuse come last. */
writeFileSync(
  file,
  `chihaya:
  http: { addr: "127.0.0.1:0" }
  udp: { addr: "127.0.0.1:0" }
  storage: { config: { max_peers: 1000 } }
  prehooks:
    - { name: interval variation, options: { modify_response_probability: 1, max_increase_delta: 5 } }
    - { name: interval control, options: { shortest: 1m, longest: 2m } }
    - { name: locality, options: { max_peers: 100, levels: [{ name: rack, ipv4: 24, ipv6: 64 }] } }
    - { name: rate limit, options: { rate: 0.001, burst: 12 } }
    - { name: ip approval, options: { blacklist: ["192.0.2.0/24"] } }
    - { name: client approval, options: { blacklist: ["XL0012"] } }
    - { name: torrent approval, options: { blacklist_from: ["${list}"] } }
    - { name: jwt, options: { issuer: a, audience: b, jwk_set_url: "http://127.0.0.1:1/keys" } }
`,
);

const failing: Hook = {
  name: "failing",
  handleAnnounce() {
    throw new Error("on purpose");
  },
};

async function askHttp(url: string): Promise<void> {
  const peer = "peer_id=-TR3000-xxxxxxxxxxxx&port=1&uploaded=0&downloaded=0&left=0";
  const id = "%bb".repeat(20);
  for (const path of [
    `/announce?info_hash=${id}&${peer}`,
    `/announce?info_hash=${id}&${peer}&jwt=a.b.c`,
    `/announce?info_hash=${id}&${peer.replace("TR3000", "XL0012")}`,
    `/announce?info_hash=${"%aa".repeat(20)}&${peer}`,
    "/announce",
    `/announce?info_hash=${id}&peer_id=1`,
    `/announce?info_hash=%zz`,
    `/announce?info_hash=${id}&${peer.replace("port=1", "port=0")}`,
    `/scrape?info_hash=${id}`,
    "/scrape",
    "/nothing",
    ...Array.from({ length: 12 }, () => `/announce?info_hash=${id}&${peer}`),
  ]) {
    await (await fetch(url.replace(/\/announce$/, "") + path)).text();
  }
}

async function askUdp(url: string): Promise<void> {
  const socket = createSocket("udp4");
  const { hostname, port } = new URL(url);
  const send = async (datagram: Buffer, isAnswered: boolean) => {
    const answer = once(socket, "message");
    socket.send(datagram, Number(port), hostname);
    return isAnswered ? ((await answer)[0] as Buffer) : undefined;
  };
  const connect = Buffer.from("0000041727101980000000000000000a", "hex");
  const id = (await send(connect, true))!.subarray(8, 16);
  const request = (action: number, body: number) => {
    const head = Buffer.concat([id, Buffer.from([0, 0, 0, action, 0, 0, 0, 1])]);
    return Buffer.concat([head, Buffer.alloc(body, 1)]);
  };
  await send(Buffer.alloc(5), false);
  await send(Buffer.alloc(16), false);
  await send(Buffer.concat([Buffer.alloc(8, 1), request(1, 82).subarray(8)]), true);
  for (const [action, body] of [
    [1, 82],
    [1, 10],
    [2, 20],
    [2, 1],
    [9, 20],
  ] as const) {
    await send(request(action, body), true);
  }
  socket.close();
}

test("no series appears with what it counts first", async (t) => {
  const clock = { seconds: 1000, unixSeconds: 1000 };
  const random = createRandom(1);
  const metrics = new Metrics();
  const loaded = loadConfig({ file, env: {} });
  assert.deepEqual(loaded.ok ? [] : loaded.errors, []);
  assert.ok(loaded.ok && loaded.config.storage.name === "memory");
  const store = new MemoryStore({ config: loaded.config.storage.config as MemoryStoreConfig, clock, random });
  const hub = new LocalHub({ clock, random });
  const parts = { store, clock, random, metrics, logger: silentLogger, hub, owner: 1 };
  const settings = await composeSettings(loaded.config, parts);
  const later = withDeadline({ name: "later" }, { timeout: 1, maxInFlight: 1 }, metrics);
  const tracker = new Tracker({ ...settings, postHooks: [failing, later] }, parts);
  await tracker.start();
  t.after(() => tracker.stop(AbortSignal.abort()));
  const names = () =>
    metrics
      .snapshot()
      .flatMap(({ name, series }) => series.map(({ labels }) => `${name} ${JSON.stringify(labels)}`));
  const urls = tracker.urls();
  const ask = async () => {
    await askHttp(urls.find((url) => url.startsWith("http:"))!);
    await askUdp(urls.find((url) => url.startsWith("udp:"))!);
  };

  const begun = names();
  await ask();
  assert.deepEqual(
    names().filter((name) => !begun.includes(name)),
    [],
  );

  // The same with what a reload brings, and a store that fails.
  const hooks = [failing, { ...failing, name: "failing too" }];
  await tracker.reload({ ...settings, preHooks: [], postHooks: hooks });
  const reloaded = names();
  store.announce = () => {
    throw new Error("on purpose");
  };
  await ask();
  assert.deepEqual(
    names().filter((name) => !reloaded.includes(name)),
    [],
  );
  const failures = metrics.snapshot().find(({ name }) => name === "chihaya_failures_total")!.series;
  assert.ok(failures.some(({ labels, values }) => labels.where === "storage" && values[0]! > 0));
});
