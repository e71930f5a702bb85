import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { startTarget } from "../../test/fixtures/load-target.ts";
import { listEngines } from "../../test/support/networks.ts";
import { WebSocketLoad } from "./websocket-load.ts";

const skip = (await listEngines()).find(({ name }) => name === "linux")!.skip;

suite("a load over WebSocket", { skip }, () => {
  test("offers to other peers, which answer", async (t) => {
    const { ws } = await startTarget(t, { kind: "web" });
    const load = await WebSocketLoad.create({
      host: "127.0.0.1",
      port: ws,
      torrents: 1,
      peers: 20,
      numWant: 0,
      offers: 3,
    });
    t.after(() => load.close());
    const filled = load.fill();
    // The first peer meets nobody, the second peer one, the third peer two.
    assert.deepEqual([filled.announces, filled.errors, filled.lost], [20, 0, 0]);
    assert.ok(filled.offers >= 17 * 3 && filled.offers <= 18 * 3, `${filled.offers}`);
    assert.equal(filled.answers, filled.offers);
    const ran = load.run({ seconds: 0.3 });
    assert.deepEqual([ran.errors, ran.lost], [0, 0]);
    assert.ok(ran.announces > 0);
    assert.deepEqual([ran.offers, ran.answers], [3 * ran.announces, 3 * ran.announces]);
    const paced = load.run({ seconds: 0.3, rate: 50 });
    assert.ok(paced.sent >= 14 && paced.sent <= 15, `${paced.sent}`);
    assert.equal(paced.latency.count, paced.sent);
  });

  test("lets peers leave after some announces and come back with another socket", async (t) => {
    const { ws } = await startTarget(t, { kind: "web" });
    const shape = { torrents: 1, peers: 4, numWant: 0, offers: 1, life: 2 };
    const load = await WebSocketLoad.create({ host: "127.0.0.1", port: ws, ...shape });
    t.after(() => load.close());
    load.fill();
    for (const run of [{ seconds: 0.3 }, { seconds: 0.3, rate: 50 }]) {
      const { sent, announces, errors, lost } = load.run(run);
      assert.ok(sent > shape.peers);
      assert.deepEqual([announces, errors, lost], [sent, 0, 0]);
    }
  });

  test("keeps idle sockets open", async (t) => {
    const { ws } = await startTarget(t, { kind: "web" });
    const shape = { torrents: 1, peers: 4, numWant: 0, offers: 1 };
    const load = await WebSocketLoad.create({ host: "127.0.0.1", port: ws, ...shape });
    t.after(() => load.close());
    load.fill();
    assert.equal(load.idle(0.1).errors, 0);
    assert.equal(load.run({ seconds: 0.1 }).errors, 0);
  });

  test("leaves offers without an answer if it is to", async (t) => {
    const { ws } = await startTarget(t, { kind: "web" });
    const shape = { torrents: 1, peers: 10, numWant: 0, offers: 2, answers: false };
    const load = await WebSocketLoad.create({ host: "127.0.0.1", port: ws, ...shape });
    t.after(() => load.close());
    load.fill();
    const { announces, offers, answers } = load.run({ seconds: 0.2 });
    assert.deepEqual([offers, answers], [2 * announces, 0]);
  });

  test("counts connections that are refused", async (t) => {
    const { http } = await startTarget(t, { kind: "faulty" });
    for (const port of [1, http]) {
      const load = await WebSocketLoad.create({ host: "127.0.0.1", port, torrents: 1, peers: 5, numWant: 0 });
      t.after(() => load.close());
      const { announces, errors, lost } = load.fill();
      assert.deepEqual([announces, errors, lost], [0, 5, 0]);
      assert.throws(() => load.run({ seconds: 1 }), /no WebSocket is open/);
    }
  });
});
