import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { findFreePort } from "../../../test/e2e/ports.ts";
import { announceQuery } from "../../../test/fixtures/http-server.ts";
import { ipApproval, torrentApproval } from "../../hooks/index.ts";
import { silentLogger } from "../../observability/logger.ts";
import { Metrics } from "../../observability/metrics.ts";
import { createTracker, type EmbeddedTracker, useHook } from "../../tracker/create-tracker.ts";
import { LiveSync } from "./live-sync.ts";
import type { LiveSyncOptions } from "./options.ts";

const host = "239.255.69.69";

async function optionsOf(changes: Partial<LiveSyncOptions> = {}): Promise<LiveSyncOptions> {
  const group = `${host}:${await findFreePort()}`;
  return { group, interface: "127.0.0.1", nodes: ["127.0.0.1"], ttl: 1, ...changes };
}

async function start(t: TestContext, livesync: LiveSyncOptions): Promise<EmbeddedTracker> {
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const tracker = createTracker({ http: { listen, opentracker: { livesync } }, udp: false });
  await tracker.start();
  t.after(() => tracker.stop(0));
  return tracker;
}

const announce = (tracker: EmbeddedTracker, changes: Record<string, string> = {}) =>
  fetch(`${tracker.urls()[0]}/announce?${announceQuery(changes)}`).then((response) => response.text());

/** Waits until the tracker has received the peers, which takes a turn of the event loop or a few. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise(setImmediate);
}

const metric = async (tracker: EmbeddedTracker, name: string) =>
  Number(
    new RegExp(`^${name.replace(/[{}]/g, "\\$&")} (\\d+)$`, "m").exec(await tracker.renderMetrics())?.[1],
  );

/** A member of the group that speaks opentracker's packets. */
async function join(t: TestContext, { group }: LiveSyncOptions): Promise<{ socket: Socket; port: number }> {
  const port = Number(group.split(":")[1]);
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  t.after(() => socket.close());
  socket.bind(port);
  await once(socket, "listening");
  socket.addMembership(host, "127.0.0.1");
  socket.setMulticastInterface("127.0.0.1");
  return { socket, port };
}

test("peers of one tracker are known to the others, and not sent on", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const options = await optionsOf();
  const [first, second] = [await start(t, options), await start(t, options)];
  await announce(first, { port: "1001", left: "0" });
  await announce(first, { port: "1002" });
  t.mock.timers.tick(15_000);
  await until(async () => (await second.store.statistics()).seeders === 1);
  const { seeders, leechers } = await second.store.statistics();
  assert.deepEqual([seeders, leechers], [1, 1]);
  assert.equal(await metric(first, 'chihaya_livesync_peers_total{direction="sent"}'), 2);
  assert.equal(await metric(second, 'chihaya_livesync_peers_total{direction="received"}'), 2);
  assert.equal(await metric(second, 'chihaya_livesync_peers_total{direction="sent"}'), 0);
  await until(async () => (await metric(first, 'chihaya_livesync_dropped_total{reason="own"}')) === 1);
  const stats = await fetch(`${second.urls()[0]}/stats?mode=syncs`).then((response) => response.text());
  assert.match(stats, /^2\n0\n/);

  await announce(first, { port: "1002", event: "stopped" });
  t.mock.timers.tick(15_000);
  await until(async () => (await second.store.statistics()).leechers === 0);
});

test("the packets are opentracker's", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const options = await optionsOf();
  const { socket, port } = await join(t, options);
  const tracker = await start(t, options);
  await announce(tracker, { info_hash: "A".repeat(20), port: "51413", left: "0", event: "completed" });
  await announce(tracker, { info_hash: "B".repeat(20), port: "9", event: "stopped" });
  t.mock.timers.tick(15_000);
  const [sent] = (await once(socket, "message")) as [Buffer];
  assert.equal(
    sent.subarray(4).toString("hex"),
    `00000000${"41".repeat(20)}7f000001c8d5c000${"42".repeat(20)}7f00000100092000`,
  );

  const packet = Buffer.from(`0000000100000000${"43".repeat(20)}c0000207c8d58000`, "hex");
  const packet6 = Buffer.from(
    `0000000100000001${"43".repeat(20)}20010db8000000000000000000000007c8d50000`,
    "hex",
  );
  socket.send(packet, port, host);
  socket.send(packet6, port, host);
  await until(
    async () => (await metric(tracker, 'chihaya_livesync_peers_total{direction="received"}')) === 2,
  );
  const { peers4, peers6, seeders } = await tracker.store.statistics();
  assert.deepEqual([peers4, peers6, seeders], [2, 1, 2]);
});

test("hostile packets are dropped and counted", async (t) => {
  const options = await optionsOf();
  const { socket, port } = await join(t, options);
  const tracker = await start(t, options);
  const dropped = (reason: string) => metric(tracker, `chihaya_livesync_dropped_total{reason="${reason}"}`);
  const record = `${"43".repeat(20)}c0000207c8d58000`;
  for (const [hex, reason, count] of [
    ["", "malformed", 1],
    ["0000000100000000", "malformed", 2],
    [`0000000100000000${record}00`, "malformed", 3],
    [`0000000100000007${record}`, "type", 1],
    [`0000000100000000${record.replace("c8d5", "0000")}`, "peer", 1],
    [`0000000100000000${record.replace("c0000207", "e0000001")}`, "peer", 2],
    [`0000000100000000${record.replace("c0000207", "00000000")}`, "peer", 3],
  ] as const) {
    socket.send(Buffer.from(hex, "hex"), port, host);
    await until(async () => (await dropped(reason)) === count);
  }
  assert.equal((await tracker.store.statistics()).seeders, 0);
  const stranger = await start(t, { ...options, nodes: ["192.0.2.0/24"] });
  socket.send(Buffer.from(`0000000100000000${record}`, "hex"), port, host);
  await until(async () => (await metric(stranger, 'chihaya_livesync_dropped_total{reason="sender"}')) > 0);
  assert.equal((await stranger.store.statistics()).seeders, 0);
});

test("a peer of a torrent or an address that the tracker refuses is not stored", async (t) => {
  const options = await optionsOf();
  const preHooks = [
    useHook(torrentApproval, { blacklist: ["44".repeat(20)] }),
    useHook(ipApproval, { blacklist: ["192.0.2.0/25", "2001:db8::/32"] }),
  ];
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const tracker = createTracker({
    http: { listen, opentracker: { livesync: options } },
    udp: false,
    preHooks,
  });
  await tracker.start();
  t.after(() => tracker.stop(0));
  const { socket, port } = await join(t, options);
  const peer = (torrent: string, address: string) => `${torrent.repeat(20)}${address}c8d58000`;
  const refused = [peer("44", "c0000281"), peer("43", "c0000207")];
  socket.send(Buffer.from(`0000000100000000${refused.join("")}${peer("43", "c0000281")}`, "hex"), port, host);
  await until(async () => (await tracker.store.statistics()).seeders > 0);
  assert.equal((await tracker.store.statistics()).seeders, 1);
  assert.equal(await metric(tracker, 'chihaya_livesync_dropped_total{reason="refused"}'), 2);
  assert.equal(await metric(tracker, 'chihaya_livesync_peers_total{direction="received"}'), 1);
});

test("a peer is sent again after ten minutes, and whenever its role changes", async () => {
  const clock = { seconds: 1000, unixSeconds: 0 };
  const metrics = new Metrics();
  const { AnnounceRequest } = await import("../../bittorrent/announce.ts");
  const { AnnounceEvent } = await import("../../bittorrent/event.ts");
  const sync = new LiveSync(await optionsOf(), {
    ...{
      clock,
      metrics,
      logger: silentLogger,
      isFirst: true,
      identity: new Int32Array(new SharedArrayBuffer(4)),
    },
    store: {} as never,
    refuses: () => false,
  });
  const request = new AnnounceRequest();
  request.port = 9;
  const sent = () => {
    const family = metrics.snapshot().find(({ name }) => name === "chihaya_livesync_peers_total");
    return family!.series.find(({ labels }) => labels.direction === "sent")!.values[0];
  };
  for (const [seconds, event, left, count] of [
    [0, AnnounceEvent.started, 1n, 1],
    [0, AnnounceEvent.none, 1n, 1],
    [599, AnnounceEvent.none, 1n, 1],
    [1, AnnounceEvent.none, 1n, 2],
    [0, AnnounceEvent.none, 0n, 3],
    [0, AnnounceEvent.none, 0n, 3],
    [0, AnnounceEvent.completed, 0n, 4],
    [0, AnnounceEvent.stopped, 0n, 5],
    [0, AnnounceEvent.none, 0n, 6],
  ] as const) {
    clock.seconds += seconds;
    request.event = event;
    request.left = left;
    sync.handleAnnounce(request);
    assert.equal(sent(), count);
  }
  sync.stop();
});

test("a reload changes the group, the interface, the nodes and the ttl", async (t) => {
  const options = await optionsOf();
  const tracker = await start(t, { ...options, nodes: ["192.0.2.1"] });
  const { socket, port } = await join(t, options);
  const packet = Buffer.from(`0000000100000000${"43".repeat(20)}c0000207c8d58000`, "hex");
  socket.send(packet, port, host);
  await until(async () => (await metric(tracker, 'chihaya_livesync_dropped_total{reason="sender"}')) === 1);
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const group = `${host}:${await findFreePort()}`;
  const reload = (livesync: LiveSyncOptions) =>
    tracker.reload({ http: { listen, opentracker: { livesync } } });
  await reload({ ...options, group, ttl: 0 });
  socket.send(packet, Number(group.split(":")[1]), host);
  await until(async () => (await tracker.store.statistics()).seeders === 1);
  await assert.rejects(reload({ ...options, interface: "192.0.2.1" }), /cannot use the group/);
  assert.ok(tracker.isServing);
});

test("a group that cannot be used stops the start, with its name", async (t) => {
  const livesync = await optionsOf({ interface: "192.0.2.1" });
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const tracker = createTracker({ http: { listen, opentracker: { livesync } }, udp: false });
  t.after(() => tracker.stop(0));
  await assert.rejects(
    tracker.start(),
    /live sync: cannot use the group 239\.255\.69\.69:\d+: .*192\.0\.2\.1/,
  );
});
