import assert from "node:assert/strict";
import { request } from "node:http";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { noLag } from "../../test/support/no-lag.ts";
import { portableNetwork } from "../net/network.ts";
import { Metrics } from "../observability/metrics.ts";
import { Admin, type AdminDeps } from "./admin.ts";
import type { AdminOptions } from "./admin-options.ts";
import { Dashboard } from "./dashboard.ts";
import { OperatorServer } from "./operator-server.ts";

async function started(t: TestContext): Promise<{ url: string; contents: string[] }> {
  const metrics = new Metrics();
  const clock = { seconds: 1000, unixSeconds: 0 };
  // The page needs nothing of the tracker.
  const admin = new Admin({ hosts: [], tokens: [] } as unknown as AdminOptions, { clock } as AdminDeps);
  const server = new OperatorServer(
    { listen: { host: "127.0.0.1", port: 0 }, profiling: false, version: "1.2.3" },
    { metrics, isReady: () => ({}), network: portableNetwork, clock, lag: noLag, admin },
  );
  await server.start();
  t.after(() => server.stop());
  return { url: server.url, contents: server.contents };
}

test("the page and all that it names are served, and only from this listener", async (t) => {
  const { url, contents } = await started(t);
  assert.deepEqual(contents, ["metrics and health", "dashboard and admin API"]);
  const page = await fetch(`${url}/`);
  assert.equal(page.status, 200);
  assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
  assert.equal(page.headers.get("cache-control"), "no-cache", "a new version is seen at once");
  assert.match(page.headers.get("content-security-policy")!, /default-src 'none'; script-src 'self'/);
  const html = await page.text();
  assert.doesNotMatch(html, /<script>|<style|style=|\bon[a-z]+=|https?:/, "what the policy forbids");
  const named = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!);
  assert.equal(named.length, 3);
  for (const path of named) {
    const response = await fetch(url + path);
    assert.equal(response.status, 200, path);
    assert.equal(response.headers.get("cache-control"), "public, max-age=31536000, immutable");
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    const expected = {
      js: "text/javascript; charset=utf-8",
      css: "text/css; charset=utf-8",
      svg: "image/svg+xml",
    };
    assert.equal(response.headers.get("content-type"), expected[path.split(".").at(-1) as "js"]);
    const text = await response.text();
    if (!path.endsWith(".svg")) assert.doesNotMatch(text, /\bhttps?:\/\/(?!www\.w3\.org\/)/, "no other host");
  }
});

test("a browser gets what it has already as 304", async (t) => {
  const { url } = await started(t);
  const etag = (await fetch(`${url}/`)).headers.get("etag")!;
  assert.match(etag, /^W\/"[\w-]{22}"$/);
  for (const [known, status] of [
    [etag, 304],
    [`"other", ${etag}`, 304],
    ['"other"', 200],
  ] as const) {
    const response = await fetch(`${url}/`, { headers: { "if-none-match": known } });
    assert.equal(response.status, status, known);
    assert.equal(response.headers.get("etag"), etag);
    assert.equal((await response.text()) === "", status === 304);
  }
});

test("all files together are below 60 KB, as browsers get them", async (t) => {
  const { url } = await started(t);
  const html = await (await fetch(`${url}/`)).text();
  let size = gzipSync(html).length;
  for (const [, path] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
    const response = await fetch(url + path, { headers: { "accept-encoding": "gzip" } });
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (bytes.length > 1024) assert.equal(response.headers.get("content-encoding"), "gzip");
    size += gzipSync(bytes).length;
  }
  assert.ok(size < 60 * 1024, `${size} bytes`);
});

for (const [method, path, headers, status] of [
  ["HEAD", "/", {}, 200],
  ["POST", "/", {}, 405],
  ["GET", "/assets/", {}, 404],
  ["GET", "/assets/../package.json", {}, 404],
  ["GET", "/assets/..%2f..%2fpackage.json", {}, 404],
  ["GET", "/assets/%00", {}, 404],
  ["GET", "/index.html", {}, 404],
  ["GET", "/", { origin: "http://evil.example" }, 403],
  ["GET", "/", { "sec-fetch-site": "cross-site" }, 403],
  ["GET", "/", { host: "evil.example" }, 421],
  ["OPTIONS", "/", {}, 403],
] as const) {
  test(`${method} ${path} with ${JSON.stringify(headers)} is ${status}`, async (t) => {
    const { url } = await started(t);
    const { hostname, port } = new URL(url);
    // fetch would tidy the path up, and choose the Host.
    const got = await new Promise<number>((resolve, reject) => {
      const asked = request({ host: hostname, port, method, path, headers, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode!);
      });
      asked.on("error", reject).end();
    });
    assert.equal(got, status);
  });
}

test("a failure to load the page is not kept", async (t) => {
  const { url } = await started(t);
  const failing = t.mock.method(Dashboard, "load", async () => {
    throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
  });
  assert.equal((await fetch(`${url}/`)).status, 500);
  failing.mock.restore();
  assert.equal((await fetch(`${url}/`)).status, 200);
});
