import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { findFreePort } from "../../test/e2e/ports.ts";
import { certificates } from "../../test/fixtures/certificates.ts";
import { announceQuery, RawClient } from "../../test/fixtures/http-server.ts";
import { listEngines } from "../../test/support/networks.ts";
import { load, Supervised } from "../../test/support/supervised.ts";
import { UdpClient } from "../../test/support/udp.ts";
import { createAnnounceRequest } from "../protocol/udp/client.ts";

const announces = /^chihaya_announces_by_client_total\{.*\} (\d+)$/gm;
const restarts = /^chihaya_worker_restarts_total (\d+)$/gm;

const lists = process.platform !== "linux" && "only Linux lists the descriptors of a process";

/** What each descriptor of this process is. */
function listDescriptors(): string[] {
  return readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "the list itself";
    }
  });
}

function countSockets(descriptors: readonly string[] = listDescriptors()): number {
  return descriptors.filter((name) => name.startsWith("socket:")).length;
}

const packet = { transactionId: 1, infoHash: new Uint8Array(20), peerId: new Uint8Array(20), port: 6881 };

/** Announces over UDP and over HTTP, each time from a port of its own; the kernel chooses the worker by it. */
async function askFromManyPorts(t: TestContext, supervised: Supervised, count: number): Promise<void> {
  const port = Number(new URL(supervised.supervisor.urls().find((url) => url.startsWith("udp:"))!).port);
  for (let i = 0; i < count; i++) {
    const udp = await UdpClient.open(4, port);
    t.after(() => udp.close());
    const connectionId = await udp.connect();
    const { action } = await udp.ask(createAnnounceRequest({ ...packet, connectionId }));
    assert.equal(action, "announce");
    const http = new RawClient(t, supervised.port);
    assert.equal((await http.get(`/announce?${announceQuery()}`)).status, 200);
    http.socket.destroy();
  }
}

/** Has the only worker die, and waits for its successor. */
async function replaceOnly(t: TestContext, supervised: Supervised): Promise<void> {
  await supervised.workers[0]!.terminate();
  await supervised.until("a worker died; starting another");
  t.mock.timers.tick(1000);
  await supervised.until("worker 2");
  while ((await supervised.supervisor.readiness())["worker 1"] === "restarting") await setImmediate();
}

for (const { name, skip } of await listEngines()) {
  const configure = (...set: string[]) => load(`network=${name}`, ...set);
  /**
   * Makes `configure` for a test whose only worker dies. Until the next worker listens, any connection could take a port that the
   * system gives out.
   */
  const onFixedPorts = async () => {
    const [http, udp] = [await findFreePort(), await findFreePort()];
    const addresses = [`http.addr=127.0.0.1:${http}`, `udp.addr=127.0.0.1:${udp}`];
    return (...set: string[]) => configure(...addresses, ...set);
  };
  describe(`a worker that dies, on the ${name} engine`, { skip }, () => {
    test("a worker that dies is replaced: the service goes on, with the same peers and counts", async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const supervised = new Supervised(2, configure());
      await supervised.start(t);
      for (let port = 1; port <= 10; port++) await supervised.announce(t, port);
      assert.equal(await supervised.metric(announces), 10);

      await supervised.workers[0]!.terminate();
      await supervised.until("a worker died; starting another");
      assert.deepEqual(await supervised.supervisor.readiness(), {
        "worker 1": "restarting",
        "worker 2": true,
      });
      assert.equal(await supervised.metric(announces), 10);
      assert.match(await supervised.announce(t, 11), /^d8:complete/);

      t.mock.timers.tick(1000);
      await supervised.until("worker 3");
      await supervised.untilReady();
      assert.match(await supervised.announce(t, 12), /10:incompletei12e/);
      assert.equal(await supervised.metric(announces), 12);
      assert.equal(await supervised.metric(restarts), 1);
    });

    test("a reload reaches a worker that is still starting", async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const configure = await onFixedPorts();
      const supervised = new Supervised(1, configure());
      await supervised.start(t);
      const { port } = supervised;
      await supervised.workers[0]!.terminate();
      await supervised.until("a worker died; starting another");
      t.mock.timers.tick(1000);
      await supervised.until("worker 2");
      assert.deepEqual(await supervised.reload(configure("announce_interval=7m")), []);
      await supervised.untilReady();
      assert.equal(supervised.port, port);
      assert.match(await supervised.announce(t, 1), /8:intervali420e/);
    });

    test("a replacement starts with the configuration of a reload while the worker was dead", async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const configure = await onFixedPorts();
      const supervised = new Supervised(1, configure());
      await supervised.start(t);
      await supervised.workers[0]!.terminate();
      await supervised.until("a worker died; starting another");
      await supervised.reload(configure("announce_interval=7m"));
      t.mock.timers.tick(1000);
      await supervised.until("worker 2");
      await supervised.untilReady();
      assert.match(await supervised.announce(t, 1), /8:intervali420e/);
    });

    test("a replacement starts with the running configuration: keys that need a restart wait for one", async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const configure = await onFixedPorts();
      const supervised = new Supervised(1, configure("udp.private_key=first"));
      await supervised.start(t);
      const urls = supervised.supervisor.urls();
      const udp = await UdpClient.open(4, Number(new URL(urls.find((url) => url.startsWith("udp:"))!).port));
      t.after(() => udp.close());
      const connectionId = await udp.connect();
      await supervised.announce(t, 1);

      const moved = configure("announce_interval=7m", "http.addr=127.0.0.2:0", "udp.private_key=second");
      const config = { ...moved, storage: { name: "redis", config: { onFailure: "serve" } } };
      const later = ["http.addr", "udp.private_key", "storage.name"];
      assert.deepEqual(await supervised.reload(config), later);
      await replaceOnly(t, supervised);
      assert.deepEqual(supervised.supervisor.urls(), urls);
      const announce = createAnnounceRequest({ ...packet, connectionId });
      assert.equal((await udp.ask(announce)).action, "announce");
      assert.match(await supervised.announce(t, 2), /10:incompletei2e8:intervali420e/);
      assert.deepEqual(await supervised.reload(config), later);
    });

    test("a replacement has the frontends of the dead worker, with their latest options", async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const configure = await onFixedPorts();
      const { http, ...rest } = configure();
      const [tls] = certificates;
      const listenTls = [{ host: "127.0.0.1", port: await findFreePort() }];
      const began = { ...http!, listenTls, tls };
      const supervised = new Supervised(1, { ...rest, http: began, udp: undefined });
      await supervised.start(t);
      const { supervisor } = supervised;
      const urls = supervisor.urls();
      assert.deepEqual(await supervised.reload(configure("http.announce_routes=/x")), [
        "http.https_addr",
        "udp",
      ]);
      const swapped = { ...configure(), http: undefined };
      assert.deepEqual(await supervised.reload(swapped), ["http", "udp"]);
      await replaceOnly(t, supervised);
      assert.deepEqual(supervisor.urls(), urls);
      const client = new RawClient(t, supervised.port);
      assert.equal((await client.get(`/x?${announceQuery()}`)).status, 200);
      assert.deepEqual(await supervised.reload(swapped), ["http", "udp"]);
    });

    test("stops without waiting for its deadline, also while a worker is starting", async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const supervised = new Supervised(2, configure());
      await supervised.start(t);
      await supervised.workers[1]!.terminate();
      await supervised.until("a worker died; starting another");
      t.mock.timers.tick(1000);
      await supervised.until("worker 3");
      await supervised.supervisor.stop(3600);
      assert.deepEqual(await supervised.supervisor.readiness(), { tracker: "not serving" });
      assert.deepEqual(
        supervised.workers.map(({ threadId }) => threadId),
        [-1, -1, -1],
      );
    });

    test("a worker that dies leaves nothing open", { skip: lists }, async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const configure = await onFixedPorts();
      const supervised = new Supervised(1, configure());
      await supervised.start(t);
      const before = listDescriptors();
      const clients = Array.from({ length: 8 }, () => new RawClient(t, supervised.port));
      for (const client of clients) await client.get("/announce");
      assert.equal(countSockets(), countSockets(before) + 2 * clients.length);

      await supervised.workers[0]!.terminate();
      await supervised.until("a worker died; starting another");
      const listeners = 2; // HTTP and UDP
      assert.equal(countSockets(), countSockets(before) - listeners + clients.length);
      for (const client of clients) {
        assert.equal(await client.readToEnd(), "");
        client.socket.destroy();
        await once(client.socket, "close");
      }
      t.mock.timers.tick(1000);
      await supervised.until("worker 2");
      await supervised.untilReady();
      assert.equal(listDescriptors().length, before.length);
    });

    test("no client is left to a worker that has died", async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const supervised = new Supervised(2, configure());
      await supervised.start(t);
      await supervised.workers[0]!.terminate();
      await supervised.until("a worker died; starting another");
      await askFromManyPorts(t, supervised, 200); // the other worker
      t.mock.timers.tick(1000);
      await supervised.until("worker 3");
      await supervised.untilReady();
      await askFromManyPorts(t, supervised, 200); // and the successor
      assert.equal(await supervised.metric(announces), 800);
    });
  });
}
