/** WebTorrent clients of two trackers over one Redis: they meet, and the death of one tracker leaves no trace. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { scrape } from "../../src/client/tracker-client.ts";
import { waitUntil } from "../e2e/wait-until.ts";
import { Daemon } from "../support/daemon.ts";
import { type RedisGroup, startRedisCluster } from "../support/redis-groups.ts";
import { startRedisServer, withoutRedis } from "../support/redis-server.ts";
import { patientRedis } from "../support/test-storage.ts";
import { WebClient } from "../support/web-client.ts";
import { webAnnounce, webAnswer, webHash, webId } from "../support/web-tracker.ts";

/** Clients of two trackers over Redis: a single server, or a cluster whose first server dies. */
async function runTrackers(t: TestContext, topology: "single" | "cluster"): Promise<void> {
  const group = await (topology === "cluster" ? startRedisCluster() : startSingle());
  t.after(() => group.stop());
  const config = { ...patientRedis, redis_broker: group.broker, redis_topology: topology };
  const settings = { storage: { name: "redis", config }, websocket: {} };
  const cli = (...args: string[]) => group.servers.at(-1)!.cli("-c", ...args);
  const start = () => Daemon.start(t, settings, "--set", "workers=2");
  const trackers = async () => (await cli("SMEMBERS", "chihaya:web:trackers")).trim().split("\n");
  const dying = await start();
  const [number] = await trackers();
  const other = await start();
  assert.equal((await trackers()).length, 2, "the workers of a tracker have one number");
  const open = (daemon: Daemon) => WebClient.open(t, daemon.port("http"));
  const incomplete = async (hash: string) => {
    const files = await scrape(`${other.url("http")}/announce`, [Buffer.from(hash)]);
    return files[0]!.incomplete;
  };

  const far = await Promise.all([open(dying), open(dying), open(dying)]);
  for (const [i, client] of far.entries()) await client.request(webAnnounce(`far${i}`));
  const undrawn = webId("undrawn");
  await far[0]!.request(webAnnounce("far0", 0, { info_hash: undrawn }));
  const near = await open(other);
  await near.request(webAnnounce("near"));
  const offerer = await open(other);
  const response = await offerer.request(webAnnounce("offerer", 4));
  assert.deepEqual(
    [response?.["complete"], response?.["incomplete"]],
    [0, 5],
    "peers of both trackers count",
  );
  const offers = await Promise.all([near, ...far].map((client) => client.next()));
  const ids = offers.map((offer) => offer?.["offer_id"]);
  assert.equal(new Set(ids).size, 4, "each offer reaches another client");
  assert.equal(ids[0], webId("offerer-0"), "the own tracker's client comes first");
  for (const [i, client] of far.entries()) {
    client.send(webAnswer(`far${i}`, ids[i + 1]));
    const answer = await offerer.next();
    assert.deepEqual([answer?.["offer_id"], answer?.["peer_id"]], [ids[i + 1], webId(`far${i}`)]);
  }
  far[0]!.send(webAnswer("far0", ids[1]));
  assert.deepEqual(await far[0]!.flush(), []);

  if (topology === "cluster") {
    await group.servers[0]!.stop();
    const hasOffer = (messages: unknown[]) => messages.some((message) => "offer" in (message as object));
    await waitUntil("an offer reaches a client of the other tracker", async () => {
      await offerer.request(webAnnounce("offerer", 4));
      return hasOffer(await far[1]!.flush());
    });
    await near.flush();
    await offerer.flush();
  }

  dying.child.kill("SIGKILL");
  await dying.ended;
  assert.deepEqual([near.closeCode, offerer.closeCode], [0, 0]);
  await offerer.request(webAnnounce("offerer", 4));
  assert.equal((await near.next())?.["offer_id"], webId("offerer-0"), "the others go on");
  if (topology === "single") {
    // Offers found nobody, so the peers are gone.
    await waitUntil("two peers are left", async () => (await incomplete(webHash)) <= 2);
    assert.equal(await incomplete(undrawn), 1, "until its tracker is known to be dead");
  }
  await cli("DEL", `chihaya:web:alive:${number}`); // as Redis does after half a minute
  await waitUntil("the peers of the dead tracker are removed", async () => (await incomplete(undrawn)) === 0);
  assert.deepEqual((await trackers()).length, 1);
  assert.equal(await incomplete(webHash), 2);
}

async function startSingle(): Promise<RedisGroup> {
  const server = await startRedisServer();
  return { servers: [server], broker: [server.url], stop: () => server.stop() };
}

describe("clients of two trackers meet, and those of a dead tracker are removed", {
  concurrency: true,
  skip: withoutRedis,
}, () => {
  for (const topology of ["single", "cluster"] as const) test(topology, (t) => runTrackers(t, topology));
});
