import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { startTarget } from "../../test/fixtures/load-target.ts";
import { listEngines } from "../../test/support/networks.ts";
import { UdpLoad } from "./udp-load.ts";

const skip = (await listEngines()).find(({ name }) => name === "linux")!.skip;
const shape = { host: "127.0.0.1", torrents: 10, peers: 6400, numWant: 30 };

suite("a load over UDP", { skip }, () => {
  test("fills a tracker with its population, and again with the same", async (t) => {
    const target = await startTarget(t, { kind: "tracker" });
    const load = await UdpLoad.create({ ...shape, port: target.udp });
    t.after(() => load.close());
    const filled = load.fill();
    assert.deepEqual([filled.sent, filled.announces, filled.errors], [6400, 6400, 0]);
    const { swarms, seeders, leechers, peers4 } = await target.statistics();
    assert.deepEqual([swarms, peers4], [10, 6400]);
    assert.ok(seeders > 0.2 * 6400 && leechers > 0.7 * 6400);
    const ran = load.run({ seconds: 0.2 });
    assert.deepEqual([ran.errors, ran.lost], [0, 0]);
    assert.ok(ran.scrapes > 0 && ran.announces > 50 * ran.scrapes);
    assert.equal(Math.round(ran.peersPerAnswer), 30);
    assert.equal((await target.statistics()).peers4, 6400);
  });

  test("moves on to other peers", async (t) => {
    const target = await startTarget(t, { kind: "tracker" });
    const load = await UdpLoad.create({ ...shape, port: target.udp, peers: 1, sources: 1 });
    t.after(() => load.close());
    load.fill();
    load.run({ seconds: 0.1, from: 1 });
    assert.equal((await target.statistics()).peers4, 2);
  });

  test("counts what is lost and what is wrong", async (t) => {
    const target = await startTarget(t, { kind: "faulty" });
    const load = await UdpLoad.create({ ...shape, port: target.udp, peers: 70, sources: 1 });
    t.after(() => load.close());
    const { sent, announces, peers, errors, lost } = load.fill();
    assert.deepEqual([sent, announces, peers, errors, lost], [70, 54, 108, 9, 7]);
  });

  test("a pause of the machine loses no response that is on its way", async (t) => {
    const target = await startTarget(t, { kind: "faulty", stallMs: 200 });
    const load = await UdpLoad.create({ ...shape, port: target.udp, peers: 140, sources: 1 });
    t.after(() => load.close());
    const now = performance.now.bind(performance);
    // Twenty times a second, the clock jumps as if the machine had paused for ten seconds.
    t.mock.method(performance, "now", () => now() + 10_000 * Math.floor(now() / 50));
    const { sent, announces, errors, lost } = load.fill();
    assert.deepEqual([sent, announces, errors, lost], [140, 108, 18, 14]);
  });

  test("measures from when a request was due: a stall delays all that fall into it", async (t) => {
    const target = await startTarget(t, { kind: "faulty", stallMs: 200 });
    const load = await UdpLoad.create({ ...shape, port: target.udp, sources: 4 });
    t.after(() => load.close());
    const { sent, latency } = load.run({ seconds: 0.5, rate: 1000 });
    assert.ok(sent >= 490 && sent <= 500, `${sent}`);
    assert.ok(latency.max > 190_000, `${latency.max}`);
    // 200 are due in the stall, less those that the server does not answer: a third of them waits for 100 ms.
    assert.ok(latency.percentile(0.8) > 60_000, `${latency.percentile(0.8)}`);
  });

  test("names a tracker that does not respond", async () => {
    const load = await UdpLoad.create({ ...shape, port: 1, sources: 1 });
    assert.throws(() => load.run({ seconds: 0.1 }), /127\.0\.0\.1 port 1 does not respond/);
    load.close();
  });
});
