import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { startTarget } from "../../test/fixtures/load-target.ts";
import { listEngines } from "../../test/support/networks.ts";
import { HttpLoad } from "./http-load.ts";
import { UdpLoad } from "./udp-load.ts";

const skip = (await listEngines()).find(({ name }) => name === "linux")!.skip;
const shape = { host: "127.0.0.1", torrents: 10, peers: 640, numWant: 30 };

suite("a load over HTTP", { skip }, () => {
  for (const keepAlive of [true, false]) {
    test(`has the peers that a load over UDP has, ${keepAlive ? "on open" : "each on a new"} connection`, async (t) => {
      const target = await startTarget(t, { kind: "tracker" });
      const udp = await UdpLoad.create({ ...shape, port: target.udp });
      const http = await HttpLoad.create({ ...shape, port: target.http, keepAlive });
      t.after(() => {
        udp.close();
        http.close();
      });
      const filled = http.fill();
      assert.deepEqual([filled.announces, filled.errors], [640, 0]);
      udp.fill();
      const ran = http.run({ seconds: 0.3 });
      assert.deepEqual([ran.errors, ran.lost], [0, 0]);
      assert.ok(ran.announces > 0);
      assert.equal((await target.statistics()).peers4, 640);
      const paced = http.run({ seconds: 0.3, rate: 100 });
      assert.ok(paced.sent >= 29 && paced.sent <= 30, `${paced.sent}`);
      assert.equal(paced.latency.count, paced.sent);
      assert.ok(paced.peersPerAnswer > 20);
    });

    test(`counts what is wrong, ${keepAlive ? "on open" : "each on a new"} connection`, async (t) => {
      const target = await startTarget(t, { kind: "faulty" });
      const load = await HttpLoad.create({ ...shape, port: target.http, sources: 1, peers: 70, keepAlive });
      t.after(() => load.close());
      const { sent, announces, peers, errors } = load.fill();
      assert.deepEqual([sent, announces, peers, errors], [70, 54, 108, 16]);
    });
  }

  test("counts connections that are refused", async (t) => {
    const load = await HttpLoad.create({ ...shape, port: 1, sources: 1, peers: 5 });
    t.after(() => load.close());
    const { sent, announces, errors } = load.fill();
    assert.deepEqual([sent, announces, errors], [5, 0, 5]);
  });
});
