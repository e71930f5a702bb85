/** WebTorrent clients of two trackers over one Redis: they meet, and the death of one tracker leaves no trace. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { scrape } from "../../src/client/tracker-client.ts";
import { Daemon } from "../support/daemon.ts";
import { startRedisServer, withoutRedis } from "../support/redis-server.ts";
import { WebClient } from "../support/web-client.ts";
import { webAnnounce, webAnswer, webHash, webId } from "../support/web-tracker.ts";

test("clients of two trackers meet, and those of a dead tracker are removed", {
  skip: withoutRedis,
}, async (t) => {
  const server = await startRedisServer();
  t.after(() => server.stop());
  const settings = { storage: { name: "redis", config: { redis_broker: server.url } }, websocket: {} };
  const start = () => Daemon.start(t, settings, "--set", "workers=2");
  const trackers = async () => (await server.cli("SMEMBERS", "chihaya:web:trackers")).trim().split("\n");
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

  dying.child.kill("SIGKILL");
  await dying.ended;
  assert.deepEqual([near.closeCode, offerer.closeCode], [0, 0]);
  await offerer.request(webAnnounce("offerer", 4));
  assert.equal((await near.next())?.["offer_id"], webId("offerer-0"), "the others go on");
  while ((await incomplete(webHash)) > 2) await setTimeout(50); // offers found nobody, so the peers are gone
  assert.equal(await incomplete(undrawn), 1, "until its tracker is known to be dead");
  await server.cli("DEL", `chihaya:web:alive:${number}`); // as Redis does after a minute
  while ((await incomplete(undrawn)) > 0) await setTimeout(200);
  assert.deepEqual((await trackers()).length, 1);
  assert.equal(await incomplete(webHash), 2);
});
