import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { type TestContext, test } from "node:test";
import { send } from "../../test/support/admin-server.ts";
import { createAdminState } from "../../test/support/admin-state.ts";
import { MapStore } from "../../test/support/map-store.ts";
import { noLag } from "../../test/support/no-lag.ts";
import { createRandom } from "../lib/clock.ts";
import { portableNetwork } from "../net/network.ts";
import { type LogFields, silentLogger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { Admin } from "./admin.ts";
import type { AdminOptions } from "./admin-options.ts";
import { hashToken } from "./api/access.ts";
import type { ReloadReport } from "./api/endpoints/control.ts";
import { OperatorServer } from "./operator-server.ts";
import type { AdminToken, Scope } from "./scopes.ts";
import { SwarmReader } from "./swarms/swarm-reader.ts";

const tokenOf = (name: string, ...scopes: Scope[]): AdminToken => ({ name, hash: hashToken(name), scopes });
const tokens = [tokenOf("reader", "read"), tokenOf("writer", "write"), tokenOf("root", "admin")] as const;
const reloaded: ReloadReport = {
  file: "/etc/chihaya.yaml",
  reloaded: true,
  applied: ["announce_interval"],
  needs_restart: ["workers"],
  warnings: [],
  errors: [],
};

async function started(t: TestContext, given: Partial<AdminOptions> = {}) {
  const options: AdminOptions = {
    addr: [],
    tlsCertPath: "",
    tlsKeyPath: "",
    behindProxy: false,
    hosts: [],
    socket: "",
    tokens,
    state: "",
    ...given,
  };
  const metrics = new Metrics();
  const announces = metrics.histogram("chihaya_udp_response_duration_milliseconds", "", [1], {
    action: "announce",
    address_family: "IPv4",
    error: "",
  });
  const clock = { seconds: 1000, unixSeconds: 0 };
  const lines: LogFields[] = [];
  let report = reloaded;
  const { state } = await createAdminState({ clock, metrics });
  const admin = new Admin(options, {
    version: "1.2.3",
    clock,
    logger: { ...silentLogger, info: (fields) => void lines.push(fields) },
    workers: () => 2,
    scrape: () => metrics.scrape(),
    reload: async () => report,
    describeConfig: async () => ({ file: null, yaml: "chihaya:\n", needs_restart: [] }),
    describeWorkers: async () => [{ number: 1, state: "serving", components: {}, restarts: 0 }],
    swarms: new SwarmReader(new MapStore({ clock, random: createRandom(1), peerLifetime: 1800 })),
    callSite: undefined,
    readJournal: undefined,
    state,
    onError: (error) => assert.fail(error),
  });
  const server = new OperatorServer(
    { listen: { host: "127.0.0.1", port: 0 }, profiling: true, version: "1.2.3" },
    { metrics, isReady: () => ({}), network: portableNetwork, clock, lag: noLag, admin },
  );
  await server.start();
  t.after(() => server.stop());
  const ask = async (method: string, path: string, headers: Record<string, string> = {}, body?: string) => {
    const { text, ...reply } = await send(`${server.url}${path}`, method, headers, body);
    return { ...reply, body: text };
  };
  return {
    admin,
    clock,
    announces,
    lines,
    ask,
    url: server.url,
    setReport: (next: ReloadReport) => {
      report = next;
    },
  };
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

for (const [what, method, path, headers, status] of [
  ["reading from this machine", "GET", "/api/v1/stats", {}, 200],
  ["reading the head", "HEAD", "/api/v1/stats", {}, 200],
  ["reading through a proxy", "GET", "/api/v1/stats", { "X-Forwarded-For": "192.0.2.1" }, 401],
  ["reading through another proxy", "GET", "/api/v1/stats", { Forwarded: "for=192.0.2.1" }, 401],
  ["reading through a third proxy", "GET", "/api/v1/stats", { Via: "1.1 proxy" }, 401],
  [
    "reading through a proxy with a token",
    "GET",
    "/api/v1/stats",
    { Via: "1.1 proxy", ...bearer("reader") },
    200,
  ],
  ["changing without a token", "POST", "/api/v1/reload", {}, 401],
  ["changing with a wrong token", "POST", "/api/v1/reload", bearer("guess"), 401],
  ["changing with another scheme", "POST", "/api/v1/reload", { authorization: "Basic cm9vdDo=" }, 401],
  ["changing with too small a scope", "POST", "/api/v1/reload", bearer("writer"), 403],
  ["changing with the scope", "POST", "/api/v1/reload", bearer("root"), 200],
  ["a wrong token where none is needed", "GET", "/api/v1/stats", bearer("guess"), 401],
  ["a token in the URL", "GET", "/api/v1/stats?token=root", {}, 400],
  ["a token in the URL of a change", "POST", "/api/v1/reload?access_token=root", {}, 400],
  ["a token in the URL of a session", "POST", "/session?token=root", {}, 400],
  ["a token in the URL of the owner of a session", "GET", "/session?access_token=root", {}, 400],
  ["a token in the URL of the dashboard", "GET", "/?token=root", {}, 400],
  ["a token in the URL of a profile", "GET", "/debug/profile/heap?token=root", bearer("root"), 400],
  ["another site", "POST", "/api/v1/reload", { origin: "http://evil.example", ...bearer("root") }, 403],
  ["another Host", "GET", "/api/v1/stats", { host: "evil.example" }, 421],
  ["a preflight", "OPTIONS", "/api/v1/reload", {}, 403],
  ["a resource that is not there", "GET", "/api/v1/nothing", {}, 404],
  ["a version that is not there", "GET", "/api/v2/stats", {}, 404],
  ["a method that is not there", "DELETE", "/api/v1/stats", bearer("root"), 405],
  ["an unknown parameter", "GET", "/api/v1/stats?x=y", {}, 400],
  ["a parameter that makes no sense", "GET", "/api/v1/stats/history?window=soon", {}, 400],
  ["a profile without a token", "GET", "/debug/profile/heap", {}, 401],
  ["a profile with too small a scope", "GET", "/debug/profile/heap", bearer("writer"), 403],
] as const) {
  test(`${what}: ${status}`, async (t) => {
    const { ask } = await started(t);
    const { status: got, headers: fields, body } = await ask(method, path, headers);
    assert.equal(got, status, body);
    if (!path.startsWith("/api/")) return;
    assert.match(`${fields["content-security-policy"]}`, /default-src 'none'.*frame-ancestors 'none'/);
    assert.equal(fields["x-content-type-options"], "nosniff");
    assert.equal(fields["referrer-policy"], "no-referrer");
    assert.equal(fields["cache-control"], "no-store");
    assert.equal(fields["access-control-allow-origin"], undefined);
    if (status >= 400) {
      assert.equal(fields["content-type"], "application/problem+json");
      assert.equal(JSON.parse(body).status, status);
    }
    assert.equal(fields["www-authenticate"] !== undefined, status === 401);
    if (status === 405) assert.equal(fields.allow, "GET, HEAD");
  });
}

test("metrics and health are for everybody, under any name and without a token", async (t) => {
  const { ask } = await started(t);
  for (const path of ["/metrics", "/livez", "/readyz", "/version"])
    assert.equal(
      (await ask("GET", path, { host: "evil.example", origin: "http://evil.example" })).status,
      200,
    );
});

test("after ten wrong tokens of a client, further wrong tokens wait, and the right token opens", async (t) => {
  const { ask, clock } = await started(t, { behindProxy: true });
  const open = (token: string) =>
    ask("POST", "/session", { "content-type": "application/json" }, JSON.stringify({ token }));
  for (let i = 0; i < 10; i++) assert.equal((await ask("GET", "/api/v1/stats", bearer("guess"))).status, 401);
  const { status, headers } = await ask("GET", "/api/v1/stats", bearer("guess"));
  assert.deepEqual([status, headers["retry-after"]], [429, "60"]);
  assert.equal((await open("guess")).status, 429);
  assert.equal(
    (await ask("GET", "/api/v1/stats", bearer("reader"))).status,
    200,
    "another client of the proxy",
  );
  assert.equal((await open("reader")).status, 200);
  assert.equal(
    (await ask("GET", "/api/v1/stats", bearer("guess"))).status,
    429,
    "a right token forgives nothing",
  );
  clock.seconds += 60;
  assert.equal((await ask("GET", "/api/v1/stats", bearer("guess"))).status, 401);
});

test("credentials of a proxy in front do not end a session", async (t) => {
  const { ask } = await started(t);
  const basic = { authorization: "Basic cHJveHk6c2VjcmV0" };
  for (let i = 0; i < 12; i++) {
    assert.equal((await ask("GET", "/api/v1/stats", basic)).status, 401, "something stands between");
    assert.deepEqual(JSON.parse((await ask("GET", "/session", basic)).body).scopes, []);
  }
  const json = { "content-type": "application/json", ...basic };
  const opened = await ask("POST", "/session", json, '{"token":"root"}');
  const cookie = opened.headers["set-cookie"]![0]!.split(";")[0]!;
  const scripted = { ...basic, cookie, "x-requested-with": "chihaya" };
  assert.equal((await ask("POST", "/api/v1/reload", scripted)).status, 200);
  assert.equal((await ask("POST", "/api/v1/reload", { ...scripted, ...bearer("guess") })).status, 401);
});

test("10,000 wrong tokens are refused, and the right token opens", async (t) => {
  const { ask } = await started(t);
  const statuses = new Map<number, number>();
  for (let i = 0; i < 10_000; i += 50) {
    const some = Array.from({ length: 50 }, (_, n) => ask("GET", "/api/v1/stats", bearer(`guess${i + n}`)));
    for (const { status } of await Promise.all(some)) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  assert.deepEqual(
    [...statuses],
    [
      [401, 10],
      [429, 9990],
    ],
  );
  assert.equal((await ask("GET", "/api/v1/stats", bearer("root"))).status, 200);
});

test("a session of a browser", async (t) => {
  const { ask, admin, clock } = await started(t);
  const json = { "content-type": "application/json" };
  const open = (body: string, headers: Record<string, string> = json) =>
    ask("POST", "/session", headers, body);
  for (const [body, headers, status] of [
    ['{"token":"guess"}', json, 401],
    ["{}", json, 400],
    ["null", json, 400],
    ["x", json, 400],
    ["token=root", { "content-type": "application/x-www-form-urlencoded" }, 415],
    ['{"token":"root"}', { "content-type": "text/plain" }, 415],
    ['{"token":"root"}', { ...json, origin: "http://evil.example" }, 403],
    ['{"token":"root"}', { ...json, host: "evil.example" }, 421],
  ] as const) {
    const refused = await open(body, headers);
    assert.deepEqual([refused.status, refused.headers["set-cookie"]], [status, undefined], body);
  }
  const opened = await open('{"token":"root"}');
  assert.equal(opened.status, 200);
  assert.deepEqual(JSON.parse(opened.body), {
    name: "root",
    scopes: ["read", "peers:read", "write", "admin"],
  });
  const [line] = opened.headers["set-cookie"]!;
  assert.match(line!, /^chihaya=[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/);
  const cookie = line!.split(";")[0]!;
  assert.equal((await ask("POST", "/api/v1/reload", { cookie })).status, 403, "a form of a page can do this");
  const scripted = { cookie, "x-requested-with": "chihaya" };
  assert.equal((await ask("POST", "/api/v1/reload", scripted)).status, 200);
  assert.equal((await ask("GET", "/session", { cookie })).status, 200);
  assert.equal((await ask("POST", "/api/v1/reload", { ...scripted, cookie: "chihaya=guess" })).status, 401);

  admin.take({ ...(await optionsOf()), tokens: [tokens[0]] });
  assert.equal((await ask("POST", "/api/v1/reload", scripted)).status, 401, "the token is gone");
  const reader = (await open('{"token":"reader"}')).headers["set-cookie"]![0]!.split(";")[0]!;
  assert.deepEqual(JSON.parse((await ask("GET", "/session", { cookie: reader })).body).name, "reader");
  clock.seconds += 12 * 3600;
  assert.deepEqual(JSON.parse((await ask("GET", "/session", { cookie: reader })).body).name, "anonymous");

  const last = (await open('{"token":"reader"}')).headers["set-cookie"]![0]!.split(";")[0]!;
  const closed = await ask("DELETE", "/session", { cookie: last });
  assert.match(closed.headers["set-cookie"]![0]!, /^chihaya=; Path=\/; Max-Age=0;/);
  assert.equal(JSON.parse((await ask("GET", "/session", { cookie: last })).body).name, "anonymous");
});

async function optionsOf(): Promise<AdminOptions> {
  return {
    addr: [],
    tlsCertPath: "",
    tlsKeyPath: "",
    behindProxy: false,
    hosts: [],
    socket: "",
    tokens,
    state: "",
  };
}

test("a reload changes tokens, hosts and the proxy", async (t) => {
  const { ask, admin } = await started(t);
  const seen = async () => [
    (await ask("GET", "/api/v1/stats", bearer("reader"))).status,
    (await ask("GET", "/api/v1/stats", { host: "tracker.internal" })).status,
    `${(await ask("POST", "/session", { "content-type": "application/json" }, '{"token":"root"}')).headers["set-cookie"]}`.split(
      "=",
    )[0],
  ];
  assert.deepEqual(await seen(), [200, 421, "chihaya"]);
  const options = await optionsOf();
  admin.take({ ...options, behindProxy: true, hosts: ["tracker.internal"], tokens: tokens.slice(1) });
  assert.deepEqual(await seen(), [401, 401, "__Host-chihaya"]);
});

test("a session has no more than its token after a reload", async (t) => {
  const { ask, admin } = await started(t);
  const { headers } = await ask(
    "POST",
    "/session",
    { "content-type": "application/json" },
    '{"token":"root"}',
  );
  const cookie = headers["set-cookie"]![0]!.split(";")[0]!;
  const reload = () => ask("POST", "/api/v1/reload", { cookie, "x-requested-with": "chihaya" });
  assert.equal((await reload()).status, 200);
  admin.take({ ...(await optionsOf()), tokens: [{ ...tokens[2], scopes: ["read"] }] });
  assert.equal((await reload()).status, 403);
});

test("behind a proxy nobody reads without a token, even if the proxy names no client", async (t) => {
  const { ask } = await started(t, { behindProxy: true });
  assert.equal((await ask("GET", "/api/v1/config")).status, 401);
  assert.equal((await ask("GET", "/api/v1/config", bearer("root"))).status, 200);
});

test("a response names the first faults of a body, however many there are", async (t) => {
  const { ask } = await started(t);
  const body = JSON.stringify(Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, 1])));
  const json = { "content-type": "application/json", ...bearer("root") };
  const refused = await ask("POST", "/api/v1/torrents/query", json, body);
  const { errors, detail } = JSON.parse(refused.body);
  assert.deepEqual([refused.status, errors.length], [400, 20]);
  assert.match(detail, /; and 98\d more$/);
});

test("behind a proxy with TLS the cookie is for this host alone", async (t) => {
  const { ask } = await started(t, { behindProxy: true });
  const json = { "content-type": "application/json" };
  const { headers } = await ask("POST", "/session", json, '{"token":"root"}');
  assert.match(headers["set-cookie"]![0]!, /^__Host-chihaya=.*; Secure$/);
});

test("a reload answers with its result, and leaves a line of who asked", async (t) => {
  const { ask, lines, setReport } = await started(t);
  const done = await ask("POST", "/api/v1/reload", bearer("root"));
  assert.deepEqual(JSON.parse(done.body), reloaded);
  setReport({
    ...reloaded,
    reloaded: false,
    errors: [{ message: "no such key", at: "a.yaml:1:2", path: "x" }],
  });
  const refused = await ask("POST", "/api/v1/reload", bearer("root"));
  assert.equal(refused.status, 409);
  assert.deepEqual(JSON.parse(refused.body).errors, [{ at: "a.yaml:1:2", detail: "x: no such key" }]);
  assert.deepEqual(
    lines.map(({ who, from, method, path, reloaded }) => ({ who, from, method, path, reloaded })),
    [true, false].map((reloaded) => ({
      who: "root",
      from: "127.0.0.1",
      method: "POST",
      path: "/api/v1/reload",
      reloaded,
    })),
  );
});

test("stats and their history", async (t) => {
  const { ask, announces, clock } = await started(t);
  await ask("GET", "/api/v1/stats");
  for (let i = 0; i < 50; i++) announces.observe(i < 25 ? 0.4 : 0.8);
  clock.seconds += 10;
  const stats = JSON.parse((await ask("GET", "/api/v1/stats")).body);
  assert.deepEqual(stats.requests, { udp: { announce: 50 }, http: {}, websocket: {} });
  assert.deepEqual(stats.rates["10"], { requests: 5, announces: 5, errors: 0 });
  assert.deepEqual([stats.workers, stats.version, stats.torrents], [2, "1.2.3", null]);
  assert.equal(stats.latency_ms.p50, 0.5, "the middle of the only bucket");
  const { step, series } = JSON.parse((await ask("GET", "/api/v1/stats/history?window=12s&step=1s")).body);
  assert.equal(step, 1);
  assert.deepEqual(series.udp_announces, [null, null, ...Array(10).fill(5)]);
});

test("a stream ends when a reload takes its token away", async (t) => {
  const { url, admin, clock } = await started(t);
  const asked = request(`${url}/api/v1/events`, { agent: false, headers: bearer("root") }).end();
  t.after(() => asked.destroy());
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  await once(response, "data");
  admin.take({ ...(await optionsOf()), tokens: [] });
  clock.seconds += 1;
  const ended = once(response, "end");
  response.resume();
  await admin.sample();
  await ended;
});

test("sixteen clients listen to events, and one that leaves makes room", async (t) => {
  const { url, ask, clock, admin } = await started(t);
  const listen = async () => {
    const asked = request(`${url}/api/v1/events`, { agent: false }).end();
    asked.on("error", () => undefined);
    t.after(() => asked.destroy());
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    const [chunk] = (await once(response, "data")) as [Buffer];
    return { asked, response, first: `${chunk}` };
  };
  const all = await Promise.all(Array.from({ length: 16 }, listen));
  for (const { response, first } of all) {
    assert.equal(response.headers["content-type"], "text/event-stream");
    assert.match(
      first,
      /^event: stats\ndata: \{"version":"1.2.3".*\}\n\nevent: sample\ndata: \{"end":\d+,"step":1,"series":\{.*\}\}\n\n$/,
    );
  }
  assert.equal((await ask("GET", "/api/v1/events")).status, 503);
  const next = once(all[1]!.response, "data");
  clock.seconds += 1;
  await admin.sample();
  assert.match(`${(await next)[0]}`, /^event: stats\n/);
  all[0]!.asked.destroy();
  for (let status = 503; status === 503; ) {
    const asked = request(`${url}/api/v1/events`, { agent: false }).end();
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    status = response.statusCode!;
    asked.on("error", () => undefined).destroy();
  }
});
