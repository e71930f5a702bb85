import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { testHook } from "chihaya/testing";
import askAService from "./ask-a-service.ts";

const good = "aa".repeat(20);
const bad = "bb".repeat(20);

/** For tests that are not about time: a machine may pause for longer than the default of a second. */
const patient = { timeout_ms: 60_000 };

/** Starts a service that allows one torrent, unless the test passes `respond`. */
async function startService(
  t: TestContext,
  respond = (path: string, response: ServerResponse) =>
    response.writeHead(path === `/torrents/${good}` ? 204 : 404).end(),
) {
  const asked: string[] = [];
  const server = createServer(({ url }, response) => {
    asked.push(url!);
    respond(url!, response);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  t.after(close);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/torrents`, asked, close };
}

describe("ask a service", () => {
  test("the hook caches what the service decides", async (t) => {
    const { url, asked } = await startService(t);
    const hook = await testHook(askAService, { ...patient, url, cache_seconds: 30 });
    t.after(() => hook.stop());
    for (let i = 0; i < 3; i++) {
      assert.equal((await hook.announce({ infoHash: good })).refusal, undefined);
      assert.equal((await hook.announce({ infoHash: bad })).refusal?.message, "unregistered torrent");
    }
    assert.deepEqual(asked, [`/torrents/${good}`, `/torrents/${bad}`]);
    hook.clock.seconds += 30;
    await hook.announce({ infoHash: good });
    assert.equal(asked.length, 3);
    assert.equal(hook.metric("ask_a_service_requests_total", { result: "approved" }), 2);
    assert.equal(hook.metric("ask_a_service_requests_total", { result: "refused" }), 1);
  });

  test("the cache is no larger than configured", async (t) => {
    const { url, asked } = await startService(t);
    const hook = await testHook(askAService, { ...patient, url, cache_size: 1 });
    t.after(() => hook.stop());
    for (const infoHash of [good, bad, good]) await hook.announce({ infoHash });
    assert.equal(asked.length, 3);
  });

  test("without a response the hook refuses or allows, as configured, and logs the failure once", async (t) => {
    const { url, close } = await startService(t);
    close();
    const closed = await testHook(askAService, { url });
    const open = await testHook(askAService, { url, when_down: "allow" });
    t.after(() => Promise.all([closed.stop(), open.stop()]));
    for (let i = 0; i < 2; i++) {
      assert.equal((await closed.announce()).refusal?.message, "cannot verify the torrent now");
      assert.equal((await open.announce()).refusal, undefined);
    }
    assert.deepEqual(
      open.log.map(({ message }) => message),
      ["the service failed"],
    );
  });

  test("an error of the service is not cached", async (t) => {
    let status = 500;
    const { url } = await startService(t, (_path, response) => response.writeHead(status).end());
    const hook = await testHook(askAService, { ...patient, url });
    t.after(() => hook.stop());
    assert.equal((await hook.announce()).refusal?.message, "cannot verify the torrent now");
    status = 200;
    assert.equal((await hook.announce()).refusal, undefined);
    assert.deepEqual(
      hook.log.map(({ message }) => message),
      ["the service failed", "the service works again"],
    );
  });

  test("the hook or the tracker stops waiting for a service that hangs", async (t) => {
    const { url } = await startService(t, () => undefined as never);
    const open = await testHook(askAService, { url, timeout_ms: 10, when_down: "allow" });
    const late = await testHook(askAService, { ...patient, url }, { limits: { timeout: 0.01 } });
    t.after(() => Promise.all([open.stop(), late.stop()]));
    assert.equal((await open.announce()).refusal, undefined);
    assert.equal((await late.announce()).refusal?.code, "hook-timeout");
    assert.equal(late.metric("chihaya_hook_requests_in_flight"), 0);
  });

  test("options are checked", async () => {
    await assert.rejects(testHook(askAService, { url: "nowhere" }), /options\.url: Invalid URL/);
    await assert.rejects(testHook(askAService, { url: "http://a", cache: 1 }), /Unrecognized key: "cache"/);
  });
});
