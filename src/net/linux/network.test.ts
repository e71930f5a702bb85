import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { listEngines } from "../../../test/support/networks.ts";
import { openLinuxNetwork } from "./network.ts";

const skip = (await listEngines()).find(({ name }) => name === "linux")!.skip;

test("networks of one thread sleep together, and one serves after another has closed", {
  skip,
}, async (t) => {
  const networks = [await openLinuxNetwork(), await openLinuxNetwork()];
  const client = createSocket("udp4");
  const sockets = await Promise.all(
    networks.map((network) =>
      network.bindDatagram({
        host: "127.0.0.1",
        port: 0,
        handler: {
          handleBatch(_socket, batch, count) {
            for (let slot = 0; slot < count; slot++) batch.outLength[slot] = 1;
          },
          afterBatch() {},
        },
        onError: assert.fail,
      }),
    ),
  );
  t.after(async () => {
    client.close();
    await sockets[1]!.close();
    networks[1]!.close();
  });
  const request = async (index: number) => {
    client.send("x", sockets[index]!.port, "127.0.0.1");
    const [, { port }] = await once(client, "message");
    assert.equal(port, sockets[index]!.port);
  };
  await request(0);
  await request(1);
  const before = performance.nodeTiming.uvMetricsInfo.loopCount;
  await delay(100);
  const turns = performance.nodeTiming.uvMetricsInfo.loopCount - before;
  assert.ok(turns < 50, `${turns} turns`);
  await sockets[0]!.close();
  networks[0]!.close();
  networks[0]!.close();
  await request(1);
});

test("another copy of the package does not sleep in the same thread", { skip }, async () => {
  const network = await openLinuxNetwork();
  const path: string = "./network.ts?copy";
  const copy = (await import(path)) as { openLinuxNetwork: typeof openLinuxNetwork };
  await assert.rejects(copy.openLinuxNetwork(), /another copy of this package/);
  network.close();
  (await copy.openLinuxNetwork()).close();
});
