/** The dashboard of a running tracker, in a browser. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { announce, scrape } from "../../src/client/tracker-client.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { formatMilliseconds, formatNumber, formatShare } from "../../src/lib/quantities.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { hashToken } from "../../src/operator/api/access.ts";
import { SwarmReader } from "../../src/operator/swarms/swarm-reader.ts";
import { startAdmin } from "../support/admin-server.ts";
import { launch, skipReason as skip } from "../support/chromium.ts";
import { Daemon, temporaryDirectory } from "../support/daemon.ts";
import { MapStore } from "../support/map-store.ts";
import { readMetrics } from "../support/promql.ts";
import { WebClient } from "../support/web-client.ts";
import { webAnnounce, webAnswer } from "../support/web-tracker.ts";

const token = "the-token-of-the-operator";
const tokens = [{ name: "ops", hash: hashToken(token), scopes: ["admin"] }];
const refused = Buffer.alloc(20, 0xee);
const torrents = [30, 20, 10].map((peers, i) => ({ infoHash: Buffer.alloc(20, 0xa0 + i), peers }));

/** Starts a tracker with 60 peers of three torrents, half of them seeders, over both protocols, and with refusals. */
async function startBusy(t: TestContext): Promise<{ daemon: Daemon; url: string }> {
  const daemon = await Daemon.start(t, {
    admin: { tokens },
    workers: 2,
    http: { enable_request_timing: true },
    udp: { enable_request_timing: true },
    prehooks: [{ name: "torrent approval", options: { blacklist: [refused.toString("hex")] } }],
  });
  const { url } = await daemon.until(({ msg }) => msg === "serving dashboard and admin API");
  const urls = [`${daemon.url("udp")}/announce`, `${daemon.url("http")}/announce`] as const;
  for (const { infoHash, peers } of torrents) {
    for (let i = 0; i < peers; i++) {
      const peerId = Buffer.from(`-qB5120-${String(i).padStart(12, "0")}`);
      await announce(urls[i % 2]!, { infoHash, peerId, port: 1000 + i, left: BigInt(i % 2), event: 0 });
    }
  }
  for (const one of [...urls, urls[0]]) {
    const peer = { infoHash: refused, peerId: Buffer.alloc(20), port: 1, left: 1n, event: 0 } as const;
    await assert.rejects(announce(one, peer), /unapproved torrent|blacklist/);
  }
  return { daemon, url: url! };
}

/** Waits until the numbers come live. */
async function untilLive(page: Page, url: string): Promise<void> {
  await page.goto(`${url}/`);
  await page.locator(".state.live").waitFor();
  await page.locator('[data-figure="announces"]').filter({ hasNotText: "–" }).waitFor();
}

/** A resource that this tracker does not have is a line of the console. */
const isUnexpected = (text: string): boolean => !text.includes("status of 404");

const figure = async (page: Page, id: string): Promise<string> =>
  (await page.locator(`[data-figure="${id}"]`).textContent())!;
const count = (text: string): number => Number(text.replaceAll(",", ""));

test("each number of the page is that of the metrics, and the console is silent", { skip }, async (t) => {
  const { daemon, url } = await startBusy(t);
  const { open } = await launch(t);
  const { page, complaints } = await open();
  await untilLive(page, url);
  // Latency is that of requests between two readings.
  const again = { infoHash: torrents[0]!.infoHash, peerId: Buffer.from(`-qB5120-${"0".repeat(12)}`) };
  await announce(`${daemon.url("udp")}/announce`, { ...again, port: 1000, left: 0n, event: 0 });
  await page.locator('[data-figure="p99"]').filter({ hasText: /[µm]s/ }).waitFor();
  const metric = await readMetrics(url);
  const [http, udp] = ["http", "udp"].map((one) => `chihaya_${one}_response_duration_milliseconds_count`);
  const failed = (name: string) => metric(name) - metric(name, { error: "" });
  const seeders = metric("chihaya_storage_seeders_count");
  const leechers = metric("chihaya_storage_leechers_count");
  assert.deepEqual([seeders, leechers], [30, 30], "the tracker has the peers");
  for (const [id, expected] of [
    ["peers", seeders + leechers],
    ["seeders", seeders],
    ["leechers", leechers],
    ["torrents", metric("chihaya_storage_infohashes_count")],
    ["ipv4", metric("chihaya_storage_peers", { address_family: "IPv4" })],
    ["ipv6", metric("chihaya_storage_peers", { address_family: "IPv6" })],
    ["errors-total", failed(http!) + failed(udp!)],
    ["used", seeders + leechers],
    ["restarts", metric("chihaya_worker_restarts_total")],
    ["workers", 2],
  ] as const) {
    assert.equal(count(await figure(page, id)), expected, id);
  }
  const fill = (seeders + leechers) / metric("chihaya_storage_capacity_peers");
  assert.ok(Math.abs(Number.parseFloat(await figure(page, "fill")) / 100 - fill) < 0.0001);

  // Errors by reason.
  for (const [protocol, name] of [
    ["http", http!],
    ["udp", udp!],
  ] as const) {
    const cell = page.locator(`[data-error^="${protocol} "]`).first();
    const text = (await cell.getAttribute("data-error"))!.slice(protocol.length + 1);
    assert.equal(count((await cell.textContent())!), metric(name, { error: text }), text);
  }

  // Top swarms, the largest first.
  const rows = page.locator(".swarms tbody tr");
  await rows.nth(2).waitFor();
  for (const [i, { infoHash, peers }] of torrents.entries()) {
    const cells = await rows.nth(i).locator("td").allTextContents();
    assert.deepEqual(cells.slice(0, 4), [
      infoHash.toString("hex"),
      `${peers}`,
      `${peers / 2}`,
      `${peers / 2}`,
    ]);
  }
  const workers = page.getByRole("region", { name: "Workers" }).locator("tbody tr");
  await workers.nth(1).waitFor();
  assert.equal(await workers.count(), 2);
  const client = page
    .getByRole("region", { name: "Clients" })
    .locator("tbody tr", { hasText: "qBittorrent" });
  // The page reads this tile every ten seconds.
  const announces = metric("chihaya_announces_by_client_total", { client: "qBittorrent" });
  await client.getByText(`${announces}`, { exact: true }).waitFor();
  assert.deepEqual(complaints.filter(isUnexpected), []);
});

test("rates and quantiles of the page are those of the metrics, second by second", { skip }, async (t) => {
  const metrics = new Metrics();
  const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
  const timed = (protocol: string, action: string, error = "") =>
    metrics.histogram(`chihaya_${protocol}_response_duration_milliseconds`, "", [1, 2, 4, 8], {
      ...{ action, address_family: "IPv4", error },
    });
  const udp = timed("udp", "announce");
  const http = timed("http", "announce");
  const connects = timed("udp", "connect");
  const refusals = timed("udp", "announce", "refused");
  const cpu = metrics.counter("process_cpu_seconds_total", "");
  const random = createRandom(1);
  let second = 0;
  metrics.gauge("chihaya_storage_seeders_count", "", () => second);
  metrics.gauge("chihaya_storage_leechers_count", "", () => 0);
  const { url, admin } = await startAdmin(t, {
    ...{ metrics, clock },
    workers: () => 1,
    describeWorkers: async () => [],
    describeConfig: async () => ({ file: null, yaml: "", needs_restart: [] }),
    swarms: new SwarmReader(new MapStore({ clock, random, peerLifetime: 1800 })),
  });
  const { open } = await launch(t);
  const { page } = await open();
  await page.goto(`${url}/`);
  await page.locator(".state.live").waitFor();
  const readings: Awaited<ReturnType<typeof readMetrics>>[] = [];
  for (;;) {
    // Without a wait, two seconds can come to a slow page as one.
    await page.locator('[data-figure="seeders"]').getByText(`${second}`, { exact: true }).waitFor();
    readings.push(await readMetrics(url));
    if (second === 60) break;
    clock.seconds++;
    clock.unixSeconds++;
    for (let n = 0; n < 3 * second; n++) udp.observe(n % 7);
    for (let n = 0; n < second; n++) http.observe(3);
    for (let n = 0; n < 5; n++) connects.observe(0.5);
    if (second % 3 === 0) refusals.observe(0.5);
    cpu.inc(0.01 * second);
    second++;
    await admin.sample();
  }
  const increase = (seconds: number, name: string, labels?: Record<string, string>) =>
    readings.at(-1)!(name, labels) - readings.at(-1 - seconds)!(name, labels);
  const [ofUdp, ofHttp] = ["udp", "http"].map((one) => `chihaya_${one}_response_duration_milliseconds`) as [
    string,
    string,
  ];
  const rate = (name: string, labels?: Record<string, string>) => increase(10, name, labels) / 10;
  const announces = (of: string) => rate(`${of}_count`, { action: "announce" });
  const all = rate(`${ofUdp}_count`) + rate(`${ofHttp}_count`);
  const errors = rate(`${ofUdp}_count`, { error: "refused" });
  const tile = page.locator('[aria-label="Now"] > div');
  for (const [id, expected] of [
    ["announces", formatNumber(announces(ofUdp) + announces(ofHttp))],
    ["errors", formatNumber(errors)],
    ["cpu", formatNumber(rate("process_cpu_seconds_total"))],
  ] as const)
    await page.locator(`[data-figure="${id}"]`).getByText(expected, { exact: true }).waitFor();
  const texts = async (name: string) =>
    (await tile.filter({ hasText: name }).locator(".small").textContent())!;
  assert.equal(
    await texts("Announces"),
    `UDP ${formatNumber(announces(ofUdp))}HTTP ${formatNumber(announces(ofHttp))}`,
  );
  assert.match(await texts("Errors"), new RegExp(`^${formatShare(errors / all)} of requests`));
  // Quantiles as Prometheus computes them from the buckets of the last minute.
  const bounds = [1, 2, 4, 8];
  const counts = bounds.map((bound) =>
    [ofUdp, ofHttp].reduce((sum, name) => sum + increase(60, `${name}_bucket`, { le: `${bound}` }), 0),
  );
  const quantile = (q: number) => {
    const rank = q * counts.at(-1)!;
    const i = counts.findIndex((count) => count >= rank);
    const [from, before] = i === 0 ? [0, 0] : [bounds[i - 1]!, counts[i - 1]!];
    return from + ((bounds[i]! - from) * (rank - before)) / (counts[i]! - before);
  };
  assert.equal(await figure(page, "p99"), formatMilliseconds(quantile(0.99)));
  assert.equal(
    await texts("Latency"),
    `p90 ${formatMilliseconds(quantile(0.9))}p50 ${formatMilliseconds(quantile(0.5))}`,
  );
});

test("a search by the first digits of an infohash, and the peers with masked addresses", {
  skip,
}, async (t) => {
  const { url } = await startBusy(t);
  const { open } = await launch(t);
  const { page } = await open();
  await untilLive(page, url);
  const rows = page.locator(".swarms tbody tr");
  await rows.nth(2).waitFor();
  await page.getByLabel("Search by info hash").fill("A1A1");
  await rows.nth(1).waitFor({ state: "detached" });
  assert.match((await rows.first().textContent())!, /^(a1){20}/);
  await page.getByLabel("Search by info hash").fill("nothing like a hash");
  await page.getByText("An info hash has 40 hexadecimal digits.").waitFor();
  await page.getByLabel("Search by info hash").fill("00");
  await page.getByText("No torrent with this info hash has peers.").waitFor();
  await page.getByLabel("Search by info hash").fill("");
  await rows.first().locator(".link").click();
  const dialog = page.getByRole("dialog", { name: "Peers" });
  await dialog.locator("tbody tr").nth(29).waitFor();
  assert.match((await dialog.locator("tbody tr").first().textContent())!, /^127\.0\.0\.0\/24/);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
});

test("removal needs a session; its token stays nowhere on the page", { skip }, async (t) => {
  const { daemon, url } = await startBusy(t);
  const { open } = await launch(t);
  const { page, complaints } = await open();
  await untilLive(page, url);
  const row = page.locator(".swarms tbody tr").first();
  await row.getByRole("button", { name: "Remove" }).click();
  const signIn = page.getByRole("dialog", { name: "Sign in" });
  await signIn.getByLabel("Token").fill("a guess");
  await signIn.getByRole("button", { name: "Sign in" }).click();
  await signIn.getByText("the token is wrong").waitFor();
  await signIn.getByLabel("Token").fill(token);
  await signIn.getByRole("button", { name: "Sign in" }).click();
  await signIn.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  assert.equal(page.url(), `${url}/`);
  assert.doesNotMatch(
    await page.evaluate<string>("JSON.stringify({ ...localStorage, ...sessionStorage })"),
    /the-token/,
  );
  assert.equal(await page.evaluate("document.cookie"), "", "scripts cannot read the cookie");

  await row.getByRole("button", { name: "Remove" }).click();
  const confirm = page.getByRole("dialog", { name: "Remove this torrent?" });
  await confirm.getByText("forgets its 30 peers").waitFor();
  await confirm.getByRole("button", { name: "Remove" }).click();
  await page.getByText(`You removed the torrent ${"a0".repeat(20)}.`).waitFor();
  const [counts] = await scrape(`${daemon.url("http")}/announce`, [torrents[0]!.infoHash]);
  assert.equal(counts?.complete ?? 0, 0);

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("button", { name: "Sign in" }).waitFor();
  assert.deepEqual(
    complaints.filter((text) => isUnexpected(text) && !text.includes("status of 401")),
    [],
    "the wrong token is all that the console has",
  );
});

test("names that peers choose are text, without control characters", { skip }, async (t) => {
  const { url } = await startBusy(t);
  const { open } = await launch(t);
  const { page, complaints } = await open();
  const name = '<img src=x onerror="alert(1)"><script>alert(2)</script>\u202e\u0007\u001b[31m';
  const answer = (body: object) => ({ contentType: "application/json", body: JSON.stringify(body) });
  await page.route("**/api/v1/clients", (route) =>
    route.fulfill(
      answer({
        known: true,
        sampled_peers: 1,
        clients: [{ name, announces: 1, peers: 1, versions: { [name]: 1 } }],
      }),
    ),
  );
  await page.route("**/peers?*", (route) =>
    route.fulfill(
      answer({
        peers: [{ address: "192.0.2.0/24", client: name, seeder: true, age_seconds: 1 }],
        next: null,
      }),
    ),
  );
  await page.route("**/api/v1/events", (route) => route.abort());
  await page.route("**/api/v1/stats", async (route) => {
    const stats = (await (await route.fetch()).json()) as Record<string, unknown>;
    await route.fulfill(answer({ ...stats, errors: [{ protocol: "http", error: name, count: 7 }] }));
  });
  await page.goto(`${url}/`);
  const clients = page.getByRole("region", { name: "Clients" });
  const errors = page.getByRole("region", { name: "Errors by reason" });
  await page.locator(".swarms .link").first().click();
  const peers = page.getByRole("dialog", { name: "Peers" });
  for (const place of [clients, errors, peers]) {
    await place.getByText("<img src=x onerror=").first().waitFor();
    const text = (await place.textContent())!;
    assert.ok(text.includes("\\u202e\\u0007\\u001b[31m"), text);
    assert.doesNotMatch(text, /[\u202e\u0007\u001b]/);
    assert.equal(await place.locator("img, script").count(), 0);
  }
  assert.deepEqual(
    complaints.filter((text) => isUnexpected(text) && !text.includes("ERR_FAILED")),
    [],
  );
});

test("a list whose file has gone is named as failing, and the log says why", { skip }, async (t) => {
  const list = join(temporaryDirectory(t), "networks.txt");
  writeFileSync(list, "192.0.2.0/24\n198.51.100.0/24\n");
  const options = { blacklist_from: [list], check_interval: "10ms" };
  const daemon = await Daemon.start(t, { admin: {}, prehooks: [{ name: "ip approval", options }] });
  const url = daemon.url("metrics");
  const { open } = await launch(t);
  const { page, complaints } = await open();
  await untilLive(page, url);
  const lists = page.getByRole("region", { name: "Lists" });
  const row = lists.locator("tbody tr", { hasText: "ip approval" });
  await row.getByText("2", { exact: true }).waitFor();
  const metric = await readMetrics(url);
  assert.equal(metric("chihaya_access_list_entries", { hook: "ip approval" }), 2);
  assert.equal(await lists.getByText("failing").count(), 0);
  rmSync(list);
  await lists.getByText("1 failing").waitFor();
  await row.getByText("1 source fails").waitFor();
  await page.getByRole("region", { name: "Events" }).getByText("list not loaded").waitFor();
  assert.deepEqual(complaints.filter(isUnexpected), []);
});

test("the page says when the tracker is gone, and when the tracker wants a token", { skip }, async (t) => {
  const { daemon, url } = await startBusy(t);
  const { open } = await launch(t);
  const { page } = await open();
  await untilLive(page, url);
  const forwarded = await open({ extraHTTPHeaders: { "x-forwarded-for": "192.0.2.1" } });
  await forwarded.page.goto(`${url}/`);
  await forwarded.page.getByRole("dialog", { name: "Sign in" }).waitFor();
  assert.equal(await figure(forwarded.page, "peers"), "–");
  await forwarded.page.getByLabel("Token").fill(token);
  await forwarded.page.keyboard.press("Enter");
  await forwarded.page.locator(".state.live").waitFor();
  assert.equal(await figure(forwarded.page, "peers"), "60");

  daemon.child.kill("SIGKILL");
  await page.locator(".state.lost").waitFor();
  assert.equal(await page.getByRole("status").textContent(), "Connection lost");
  await page.getByText("The tracker does not respond.").waitFor();
  assert.equal(await figure(page, "peers"), "60", "the last numbers stay");
});

test("light and dark, and on a telephone without scrolling sideways", { skip }, async (t) => {
  const { url } = await startBusy(t);
  const { open } = await launch(t);
  const backgrounds: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    const { page } = await open({ colorScheme, viewport: { width: 360, height: 740 }, isMobile: true });
    await untilLive(page, url);
    const background = () =>
      page.evaluate<string>("getComputedStyle(document.documentElement).backgroundColor");
    backgrounds.push(await background());
    const [wide, seen] = await page.evaluate<number[]>("[document.documentElement.scrollWidth, innerWidth]");
    assert.ok(wide! <= seen!, `${wide} of ${seen}`);
    await page.getByLabel("Colours").selectOption(colorScheme === "light" ? "dark" : "light");
    backgrounds.push(await background());
    await page.reload();
    await page.locator(".state.live").waitFor();
    assert.equal(await background(), backgrounds.at(-1), "the choice stays");
    for (const button of await page.getByRole("button").all())
      assert.notEqual((await button.textContent())!.trim(), "", "every button has a name");
  }
  const [light, darkByChoice, dark, lightByChoice] = backgrounds;
  assert.notEqual(light, dark);
  assert.deepEqual([darkByChoice, lightByChoice], [dark, light]);
});

test("a tracker for browsers shows their peers, and how many of their offers are answered", {
  skip,
}, async (t) => {
  const daemon = await Daemon.start(t, { admin: {}, websocket: {} });
  const url = daemon.url("metrics");
  const { open } = await launch(t);
  const { page, complaints } = await open();
  await untilLive(page, url);
  const join = () => WebClient.open(t, daemon.port("http"));
  const [a, b, c] = [await join(), await join(), await join()];
  await a.request(webAnnounce("a"));
  await b.request(webAnnounce("b", 1));
  a.send(webAnswer("a", (await a.next())?.offer_id));
  await b.next();
  await c.request(webAnnounce("c", 1)); // nobody answers
  await page.locator('[data-figure="web"]').getByText("3", { exact: true }).waitFor();
  await page.locator('[data-figure="sockets"]').getByText("3", { exact: true }).waitFor();
  await page.locator('[data-figure="answered"]').getByText("50 %", { exact: true }).waitFor();
  await page.getByRole("region", { name: "Browsers" }).getByText("Answers").waitFor();
  assert.deepEqual(complaints.filter(isUnexpected), []);

  const plain = await Daemon.start(t, { admin: {} });
  await untilLive(page, plain.url("metrics"));
  assert.equal(await page.locator('[data-figure="web"]').count(), 0);
  assert.equal(await page.getByRole("region", { name: "Browsers" }).count(), 0);
});
