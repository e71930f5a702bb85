import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { testHook } from "chihaya/testing";
import askAService from "./ask-a-service.ts";

const good = "aa".repeat(20);
const bad = "bb".repeat(20);

/** A service that knows one torrent, unless the test answers itself. */
async function startService(
  t: TestContext,
  answer = (path: string, response: ServerResponse) =>
    response.writeHead(path === `/torrents/${good}` ? 204 : 404).end(),
) {
  const asked: string[] = [];
  const server = createServer(({ url }, response) => {
    asked.push(url!);
    answer(url!, response);
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
  test("what the service says holds for a while", async (t) => {
    const { url, asked } = await startService(t);
    const hook = await testHook(askAService, { url, cache_seconds: 30 });
    t.after(() => hook.stop());
    for (let i = 0; i < 3; i++) {
      assert.equal((await hook.announce({ infoHash: good })).refusal, undefined);
      assert.equal((await hook.announce({ infoHash: bad })).refusal?.message, "unregistered torrent");
    }
    assert.deepEqual(asked, [`/torrents/${good}`, `/torrents/${bad}`]);
    hook.clock.seconds += 30;
    await hook.announce({ infoHash: good });
    assert.equal(asked.length, 3);
    assert.equal(hook.metric("ask_a_service_answers_total", { answer: "approved" }), 2);
    assert.equal(hook.metric("ask_a_service_answers_total", { answer: "refused" }), 1);
  });

  test("no more is remembered than was allowed", async (t) => {
    const { url, asked } = await startService(t);
    const hook = await testHook(askAService, { url, cache_size: 1 });
    t.after(() => hook.stop());
    for (const infoHash of [good, bad, good]) await hook.announce({ infoHash });
    assert.equal(asked.length, 3);
  });

  test("without an answer it is closed, or open if it was told so; the log says it once", async (t) => {
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
      ["no answer"],
    );
  });

  test("an error of the service is no answer, and not remembered", async (t) => {
    let status = 500;
    const { url } = await startService(t, (_path, response) => response.writeHead(status).end());
    const hook = await testHook(askAService, { url });
    t.after(() => hook.stop());
    assert.equal((await hook.announce()).refusal?.message, "cannot verify the torrent now");
    status = 200;
    assert.equal((await hook.announce()).refusal, undefined);
    assert.deepEqual(
      hook.log.map(({ message }) => message),
      ["no answer", "the service answers again"],
    );
  });

  test("a service that hangs is given up: by the hook, or by the tracker", async (t) => {
    const { url } = await startService(t, () => undefined as never);
    const patient = { url, timeout_ms: 60_000 };
    const open = await testHook(askAService, { url, timeout_ms: 10, when_down: "allow" });
    const late = await testHook(askAService, patient, { limits: { timeout: 0.01 } });
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
