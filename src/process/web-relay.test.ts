import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { RawClient } from "../../test/fixtures/http-server.ts";
import { listEngines } from "../../test/support/networks.ts";
import { load, Supervised } from "../../test/support/supervised.ts";
import { WebClient } from "../../test/support/web-client.ts";
import { webAnnounce, webAnswer, webHash } from "../../test/support/web-tracker.ts";

const size = 30;
const offered = /^chihaya_web_offers_total\{result="relayed"\} (\d+)$/gm;

/** Opens sockets on all workers, and announces one torrent on each. */
async function join(t: TestContext, supervised: Supervised): Promise<WebClient[]> {
  const clients = await Promise.all(Array.from({ length: size }, () => WebClient.open(t, supervised.port)));
  for (const [i, client] of clients.entries()) await client.request(webAnnounce(`p${i}`));
  return clients;
}

/** Offers to `count` peers and has all of them answer. */
async function exchange(offerer: WebClient, others: readonly WebClient[], count: number): Promise<void> {
  offerer.send(webAnnounce("offerer", count));
  const response = await offerer.next();
  assert.equal(response?.["interval"], 120);
  const got = new Set<WebClient>();
  const taken = others.map(async (client) => {
    const offer = await client.next();
    got.add(client);
    if (offer === undefined) return;
    assert.equal((offer["offer"] as { type: string }).type, "offer");
    client.send(webAnswer(`${offer["offer_id"]}`, offer["offer_id"]));
  });
  for (let n = 0; n < count; n++) {
    const answer = await offerer.next();
    assert.deepEqual(answer?.["answer"], { type: "answer", sdp: `answer of ${answer?.["offer_id"]}` });
  }
  assert.equal(got.size, count, "each offer has another peer");
  void Promise.allSettled(taken);
}

for (const { name, skip } of await listEngines()) {
  describe(`WebTorrent clients of three workers, on the ${name} engine`, { skip }, () => {
    test("meet each other, and go on when a worker dies", async (t) => {
      const supervised = new Supervised(3, load(`network=${name}`, "websocket.max_offers=20"));
      await supervised.start(t);
      const clients = await join(t, supervised);
      const offerer = await WebClient.open(t, supervised.port);
      await exchange(offerer, clients, 20);
      assert.equal(await supervised.metric(offered), 20);

      const ended = new Set<WebClient>();
      for (const client of [...clients, offerer]) client.socket.on("close", () => ended.add(client));
      await supervised.workers[1]!.terminate();
      await supervised.until("a worker died; starting another");
      await supervised.until("worker 4");
      await supervised.untilReady();
      const living = [...clients, offerer].filter((client) => !ended.has(client));
      assert.ok(living.length > 0 && ended.size > 0, `${living.length} sockets stay, ${ended.size} are gone`);
      const counts = async () => {
        const { body } = await new RawClient(t, supervised.port).get(`/scrape?info_hash=${webHash}`);
        return Number(/10:incompletei(\d+)e/.exec(body)?.[1]);
      };
      while ((await counts()) > living.length) await setImmediate();
      assert.equal(await counts(), living.length, "the peers whose sockets stay, and no others");
      for (const client of living) assert.deepEqual(await client.flush().then(() => client.closeCode), 0);
      const late = await WebClient.open(t, supervised.port);
      await late.request(webAnnounce("late"));
      assert.equal(await counts(), living.length + 1);
    });
  });
}
