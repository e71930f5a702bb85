/** Every series that the alerts and the dashboard for Grafana ask for is there from the start, so that an alert sees the first failure. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openDatabase } from "../../src/private/sites/sql/open-database.ts";
import { createTables } from "../../src/private/sites/sql/schema.ts";
import { certificates } from "../fixtures/certificates.ts";
import { Daemon, type DaemonSettings, temporaryDirectory } from "../support/daemon.ts";
import { createIssuerKey } from "../support/jwt-issuer.ts";
import {
  fetchMetrics,
  notFound,
  readDashboardQueries,
  readRules,
  type SampleLine,
  type Selector,
  selectorsOf,
} from "../support/promql.ts";
import { startRedisServer, withoutRedis } from "../support/redis-server.ts";
import { patientRedis } from "../support/test-storage.ts";

const memory = { name: "memory", config: { max_peers: 1000 } };
const rules = readRules();
const queries = [...rules.map(({ expr }) => expr), ...readDashboardQueries()];
const asked = queries.flatMap(selectorsOf);
/** Metrics of parts that a tracker may not have. */
const optional = /^chihaya_(access_list|hook|jwt|private|redis|tls|web|websocket)_/;
/** What hooks, a private site and Redis alone have of other metrics: failures of hooks, and texts of errors. */
const optionalSeries =
  /^chihaya_failures_total .*"!~"|error=(access list|request timed out|tracker storage|unapproved request|The tracker is)/;

/** Returns the series of a tracker that has just started, and those that the rules record from them. */
async function scrape(daemon: Daemon): Promise<SampleLine[]> {
  let lines = await fetchMetrics(daemon.url("metrics"));
  // A scrape waits two seconds for the workers. On a busy machine their first response can be later.
  while (!lines.some(({ name }) => name === "chihaya_http_connections_accepted_total"))
    lines = await fetchMetrics(daemon.url("metrics"));
  const recorded = lines
    .filter(({ name }) => /_milliseconds_count$|_rejected_total$|_dropped_datagrams_total$/.test(name))
    .map(({ labels, value }) => {
      const error = labels.error ?? labels.reason ?? "";
      return { name: "chihaya:requests:rate5m", labels: { error }, value };
    });
  // Node.js's own sockets do not count what the kernel drops.
  const isPortable =
    process.env.CHIHAYA_NETWORK === "portable" ||
    daemon.lines.some(({ msg }) => msg === "using the portable network engine");
  const drops = { name: "chihaya_udp_kernel_drops_total", labels: {}, value: 0 };
  return [...lines, ...recorded, ...(isPortable ? [drops] : [])];
}

function missing(selectors: readonly Selector[], lines: readonly SampleLine[]): string[] {
  return [...new Set(selectors.flatMap((selector) => notFound(selector, lines)))];
}

for (const workers of [1, 2]) {
  test(`a tracker with ${workers} worker(s) and no hooks has every series that does not belong to a hook, a browser, TLS or Redis`, async (t) => {
    const lines = await scrape(await Daemon.start(t, { workers, storage: memory }));
    const selectors = asked.filter(({ name }) => !optional.test(name));
    assert.deepEqual(
      missing(selectors, lines).filter((text) => !optionalSeries.test(text)),
      [],
    );
    const counters = new Set(
      selectors.map(({ name }) => name).filter((name) => /^chihaya_.*_total$/.test(name)),
    );
    const counted = lines.filter(({ name, value }) => counters.has(name) && value !== 0);
    assert.deepEqual(counted, []);
  });
}

async function settingsWithHooks(folder: string): Promise<DaemonSettings> {
  const [{ cert, key }] = certificates;
  const { jwk } = await createIssuerKey("a");
  for (const [name, text] of [
    ["cert.pem", cert],
    ["key.pem", key],
    ["list.txt", "aa".repeat(20)],
    ["keys.json", JSON.stringify({ keys: [jwk] })],
  ] as const) {
    writeFileSync(join(folder, name), text);
  }
  const tls = { tls_cert_path: join(folder, "cert.pem"), tls_key_path: join(folder, "key.pem") };
  return {
    storage: memory,
    websocket: {},
    http: { https_addr: "127.0.0.1:0", ...tls },
    prehooks: [
      { name: "torrent approval", options: { whitelist_from: [join(folder, "list.txt")] } },
      { name: "jwt", options: { issuer: "a", audience: "b", jwk_set_file: join(folder, "keys.json") } },
    ],
    posthooks: [{ module: join(import.meta.dirname, "../fixtures/probe-hook.ts") }],
  };
}

/** A private tracker with an empty database. */
async function settingsWithUsers(folder: string): Promise<DaemonSettings> {
  const database = join(folder, "site.sqlite");
  writeFileSync(database, "");
  const open = await openDatabase(database, "");
  await createTables(open);
  await open.database.close();
  return { storage: memory, private: { database, journal: { dir: join(folder, "journal") } } };
}

test("every series of the rules and the dashboard is there for a tracker with all parts", {
  skip: withoutRedis,
}, async (t) => {
  const redis = await startRedisServer();
  t.after(() => redis.stop());
  const withHooks = await Daemon.start(t, await settingsWithHooks(temporaryDirectory(t)));
  const storage = { name: "redis", config: { ...patientRedis, redis_broker: redis.url } };
  const withRedis = await Daemon.start(t, { storage });
  const withUsers = await Daemon.start(t, await settingsWithUsers(temporaryDirectory(t)));
  const trackers = [withHooks, withRedis, withUsers];
  const lines = (await Promise.all(trackers.map(scrape))).flat();
  assert.deepEqual(missing(asked, lines), []);
});
