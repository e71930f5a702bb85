/**
 * Two trackers over one Redis under load, one of them killed: nothing that it has answered is lost.
 *
 * CHIHAYA_KILL_SECONDS and CHIHAYA_KILL_RATE set how long and how many announces a second; the figures are printed with
 * the test.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { announce, scrape } from "../../src/client/tracker-client.ts";
import { AnnounceLoad } from "../support/announce-load.ts";
import { Daemon } from "../support/daemon.ts";
import { startRedisServer, withoutRedis } from "../support/redis-server.ts";
import { patientRedis } from "../support/test-storage.ts";

const seconds = Number(process.env.CHIHAYA_KILL_SECONDS ?? 3);
const perSecond = Number(process.env.CHIHAYA_KILL_RATE ?? 1000);

test(`${perSecond} announces a second at two trackers, one is killed`, { skip: withoutRedis }, async (t) => {
  const server = await startRedisServer();
  t.after(() => server.stop());
  const settings = {
    workers: "1",
    udp: { private_key: "the same for both of them" },
    storage: { name: "redis", config: { ...patientRedis, redis_broker: server.url } },
  };
  const [killed, other] = [await Daemon.start(t, settings), await Daemon.start(t, settings)];
  const ports = [killed, other].map((daemon) => ({ udp: daemon.port("udp"), http: daemon.port("http") }));
  const load = await AnnounceLoad.open(t, ports);
  const [report] = await Promise.all([
    load.run(seconds, perSecond),
    wait((seconds * 1000) / 2).then(async () => {
      killed.child.kill("SIGSTOP"); // it dies here; a moment later every one of its clients waits for it
      await wait(100);
      Object.assign(ports[0]!, ports[1]);
      killed.child.kill("SIGKILL");
    }),
  ]);
  t.diagnostic(JSON.stringify(report));
  assert.equal(report.announces, seconds * perSecond);
  assert.ok(report.resent > 0);
  assert.deepEqual(await killed.ended, { code: null, signal: "SIGKILL" });

  const url = `${other.url("http")}/announce`;
  const { torrents } = load;
  const counted: unknown[] = [];
  for (let i = 0; i < torrents.length; i += 50) {
    const asked = torrents.slice(i, i + 50).map(({ infoHash }) => infoHash);
    counted.push(...(await scrape(url, asked)).map((swarm) => [swarm?.complete, swarm?.incomplete]));
  }
  assert.deepEqual(counted, load.expectedCounts());

  // Not only as many: the same ones.
  const whole = torrents.filter(({ peers }) => peers.size > 0 && peers.size <= 100);
  for (const { infoHash, peers } of whole) {
    const asking = { infoHash, peerId: Buffer.alloc(20, 1), port: 1, left: 1n, numWant: 100 };
    const { peers: listed } = await announce(url, asking);
    assert.deepEqual(
      listed.map(({ port }) => port).sort((a, b) => a - b),
      [...peers.keys()].sort((a, b) => a - b),
    );
  }
});
