import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { WebTracker, webAnnounce, webOptions } from "../../../test/support/web-tracker.ts";
import type { Hook } from "../../middleware/hook.ts";
import type { WebSocketOptions } from "./options.ts";

/** Starts a tracker whose timer does not run, so that only the test calls `sweep`. */
async function start(
  t: TestContext,
  ...more: [
    options?: Partial<WebSocketOptions>,
    settings?: Parameters<typeof WebTracker.start>[2],
    http?: Parameters<typeof WebTracker.start>[3],
  ]
): Promise<WebTracker> {
  t.mock.timers.enable({ apis: ["setInterval"] });
  return WebTracker.start(t, ...more);
}

test("a reload closes the sockets whose web site or path is no longer allowed", async (t) => {
  const tracker = await start(t, { routes: ["/announce", "/old", "/"] });
  const site = (host: string) => ({ Origin: `https://${host}` });
  const kept = [
    await tracker.open("/announce", site("good.example")),
    await tracker.open("/announce?x=/old"),
  ];
  const closed = [
    await tracker.open("/announce", site("bad.example")),
    await tracker.open("/announce", site("other.example")),
    await tracker.open("/announce", { Origin: "null" }),
    await tracker.open("/old", site("good.example")),
    await tracker.open("/"),
  ];
  for (const [i, client] of closed.entries()) await client.request(webAnnounce(`closed ${i}`));
  tracker.web.prepare({
    ...webOptions,
    routes: ["/announce"],
    allowOrigins: ["*.example"],
    denyOrigins: ["bad.example", "https://other.example:443"],
  })();
  tracker.web.sweep();
  for (const client of closed) {
    await client.ended();
    assert.equal(client.closeCode, 1008);
  }
  const counts = [];
  for (const client of kept) counts.push((await client.request(webAnnounce("kept")))?.incomplete);
  assert.deepEqual(counts, [1, 2], "the peers of the others have left");
});

test("a reload closes many sockets over ten seconds, and another reload may spare the rest", async (t) => {
  const tracker = await start(t);
  const clients = await Promise.all(
    Array.from({ length: 400 }, () => tracker.open("/", { Origin: "https://a.example" })),
  );
  const left = () => tracker.count("chihaya_web_sockets");
  const denied = { ...webOptions, denyOrigins: ["a.example"] };
  tracker.web.prepare(denied)();
  const steps = [];
  for (let second = 0; second < 3; second++) {
    tracker.web.sweep();
    steps.push(await left());
  }
  assert.deepEqual(steps, [360, 320, 280]);
  tracker.web.prepare(webOptions)();
  tracker.web.sweep();
  assert.equal(await left(), 280);
  await clients.at(-1)!.flush();
});

test("a reload of the routes of HTTP applies to open sockets, with the names of their parameters", async (t) => {
  const seen: string[] = [];
  const hook: Hook = {
    name: "see",
    handleAnnounce: ({ params }) => void seen.push(`${params.route("key")} ${params.route("passkey")}`),
  };
  const routes = (...announceRoutes: string[]) => ({ announceRoutes });
  const tracker = await start(t, {}, { preHooks: [hook] }, routes("/announce", "/:key/announce"));
  const [user, plain, root] = [
    await tracker.open("/secret/announce"),
    await tracker.open("/announce"),
    await tracker.open("/"),
  ];
  await user.request(webAnnounce("a"));
  // The frontends take their options one after the other, HTTP in any place.
  const takeWeb = tracker.web.prepare(webOptions);
  const takeHttp = tracker.http.prepare({ ...tracker.httpOptions, ...routes("/:passkey/announce") });
  takeWeb();
  takeHttp();
  tracker.web.sweep();
  await plain.ended();
  assert.equal(plain.closeCode, 1008);
  await user.request(webAnnounce("a"));
  await root.flush();
  assert.deepEqual(seen, ["secret undefined", "undefined secret"]);
});
