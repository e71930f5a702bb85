/** Keeps the names of the metrics in order, and `docs/metrics.md` complete. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { before, test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { countKernelDrops } from "../../src/frontend/traffic.ts";
import { createJwt } from "../../src/hooks/jwt/jwt.ts";
import { createLocality } from "../../src/hooks/locality/create-locality.ts";
import { createTorrentApproval } from "../../src/hooks/torrent-approval/torrent-approval.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { withDeadline } from "../../src/middleware/with-deadline.ts";
import { registerCertificates } from "../../src/observability/certificate-metrics.ts";
import { LogOutput, registerLogMetrics } from "../../src/observability/log-output.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { type FamilySnapshot, Metrics } from "../../src/observability/metrics.ts";
import { registerProcessMetrics } from "../../src/observability/process-metrics.ts";
import { observeExpiry, registerStorageMetrics } from "../../src/observability/storage-metrics.ts";
import { refusalsOf } from "../../src/private/errors.ts";
import type { PrivateOptions } from "../../src/private/options.ts";
import { createPrivateHook } from "../../src/private/private-hook.ts";
import { AccountantThread, createAccountingMemory } from "../../src/process/accountant-thread.ts";
import { ConfigMetrics } from "../../src/process/config-metrics.ts";
import { Supervisor } from "../../src/process/supervisor.ts";
import { MemoryStore, type MemoryStoreConfig } from "../../src/storage/memory/memory-store.ts";
import { composeSettings, hookDeps } from "../../src/tracker/compose.ts";
import { createStore } from "../../src/tracker/create-store.ts";
import { approvalWithPipes } from "../../src/tracker/list-pipes/list-pipes.ts";
import { createSharedState, LocalHub } from "../../src/tracker/share-hub.ts";
import { Tracker } from "../../src/tracker/tracker.ts";
import { findFreePort } from "../e2e/ports.ts";
import { createAdminState } from "../support/admin-state.ts";
import { approvalOptions } from "../support/approval.ts";

let families: FamilySnapshot[] = [];

/** Runs a tracker for as long as it takes to register what it registers only when it happens. */
before(async () => {
  const clock = { seconds: 1, unixSeconds: 1 };
  const loaded = loadConfig({
    env: {},
    set: [
      "http.addr=127.0.0.1:0",
      "udp.addr=127.0.0.1:0",
      "websocket.interval=2m",
      "http.opentracker.full_scrape=true",
      `http.opentracker.livesync.group=239.255.69.71:${await findFreePort()}`,
      "http.opentracker.livesync.interface=127.0.0.1",
      "http.opentracker.livesync.nodes=127.0.0.1",
    ],
  });
  assert.ok(loaded.ok);
  const metrics = new Metrics();
  const stopProcessMetrics = registerProcessMetrics(metrics, "0");
  const { storage } = loaded.config;
  assert.ok(storage.name === "memory");
  const store = new MemoryStore({
    config: storage.config as MemoryStoreConfig,
    clock,
    random: createRandom(1),
  });
  registerStorageMetrics(metrics, store);
  observeExpiry(metrics, silentLogger);
  const redis = loadConfig({ env: {}, set: ["storage.name=redis"] });
  assert.ok(redis.ok);
  const threadParts = { clock, random: createRandom(1), metrics, logger: silentLogger };
  await createStore(redis.config.storage, { ...threadParts, isFirst: false, owner: 1 });
  const failing = {
    name: "failing",
    handleAnnounce() {
      throw new Error("on purpose");
    },
  };
  const random = createRandom(1);
  const hub = new LocalHub({ clock, random });
  const parts = { config: loaded.config, store, clock, random, metrics, logger: silentLogger, hub };
  const composed = await composeSettings(loaded.config, { ...parts, owner: 1 });
  const jwt = {
    issuer: "registry",
    audience: "tracker",
    jwkSetUrl: "data:application/json,",
    jwkSetUpdateInterval: 300,
    jwkSetMaxAge: 86_400,
    algorithms: ["RS256"],
    leeway: 0,
    parameters: ["jwt"],
    cacheSize: 2,
  } as const;
  const hooks = [createJwt(jwt, hookDeps("jwt", { ...parts, owner: 1 }, new Map()))];
  const lists = approvalOptions({ whitelistFrom: ["missing"], onFailure: "allow" });
  const listDeps = hookDeps("torrent approval", { ...parts, owner: 1 }, new Map());
  hooks.push(await createTorrentApproval(lists, listDeps));
  await approvalWithPipes({ fifoAdd: "", fifoDelete: "" }, parts).create(lists, listDeps);
  const locality = {
    levels: [{ name: "rack", ipv4: 24, ipv6: 64 }],
    remoteQuota: 0.2,
    order: "near-first",
    maxPeers: 10,
  } as const;
  const localityDeps = hookDeps("locality", { ...parts, owner: 1 }, new Map());
  hooks.push(await createLocality(locality, localityDeps.lifetime, localityDeps));
  for (const hook of hooks) await hook.start?.();
  const asynchronous = withDeadline({ name: "later" }, { timeout: 1, maxInFlight: 1 }, metrics);
  const settings = { ...composed, postHooks: [failing, asynchronous] };
  countKernelDrops(metrics, "udp://127.0.0.1:6969", () => 0);
  registerCertificates(metrics, ["https://127.0.0.1:443"], () => 0);
  new ConfigMetrics(metrics, clock, "hash");
  await createAdminState({ metrics });
  const supervisor = new Supervisor({ ...parts, store: undefined }, 2);
  const memory = createAccountingMemory(1);
  const { rings, signal } = memory;
  const shared = createSharedState(hub, "", { clock, random, owner: 1 });
  await createPrivateHook(
    { ring: rings[0]!, signal },
    {
      ...{ options: { announceMin: 0, peersTimeout: 7200 }, refusals: refusalsOf("sql") },
      ...{ clock, metrics, shared },
    },
  );
  const start = { options: {} as PrivateOptions, maxGap: 0, announceInterval: 0, memory };
  const accountantDeps = {
    bus: supervisor.bus,
    logger: silentLogger,
    metrics,
    publish() {},
    scrape: () => metrics.scrape(),
  };
  new AccountantThread(start, accountantDeps);
  const tracker = new Tracker(settings, { store, clock, metrics, logger: silentLogger });
  await tracker.start();
  const url = tracker.urls().find((listening) => listening.startsWith("http:"));
  const id = "-TR3000-xxxxxxxxxxxx";
  const query = `info_hash=${id}&peer_id=${id}&port=1&uploaded=0&downloaded=0&left=0`;
  const [response] = (await once(get(`${url}/announce?${query}`, { agent: false }), "response")) as [
    IncomingMessage,
  ];
  await once(response.resume(), "end");
  await tracker.stop(AbortSignal.abort());
  stopProcessMetrics();
  registerLogMetrics(metrics, new LogOutput(() => 0));
  families = await metrics.scrape();
  for (const hook of hooks) await hook.stop?.();
});

/** Names that Chihaya gave, against the rules below, and the one that another frontend's histogram has in the same form. */
const chihayas = [
  "chihaya_http_response_duration_milliseconds",
  "chihaya_storage_gc_duration_milliseconds",
  "chihaya_storage_infohashes_count",
  "chihaya_storage_leechers_count",
  "chihaya_storage_seeders_count",
  "chihaya_udp_response_duration_milliseconds",
  "chihaya_websocket_response_duration_milliseconds",
];

test("names follow Prometheus' conventions", () => {
  const broken = families
    .filter(({ name }) => !chihayas.includes(name))
    .flatMap(({ name, kind, help, series }) => {
      const rules: [boolean, string][] = [
        [/^(chihaya|process|nodejs)(_[a-z0-9]+)+$/.test(name), "prefix and snake_case"],
        [
          (kind === "counter") === name.endsWith("_total"),
          "_total is for counters, and counters end with it",
        ],
        [!/_(count|sum|bucket)$/.test(name), "_count, _sum and _bucket belong to histograms"],
        [!/milli|micro|nano|minutes|hours|kilo|mega/.test(name), "base units: seconds, bytes, ratios"],
        [kind !== "histogram" || /_(seconds|bytes|records)$/.test(name), "histograms name their unit"],
        [help !== "" && !help.endsWith("."), "help without a full stop"],
        [
          series.every(({ labels }) =>
            Object.keys(labels).every((label) => /^[a-z]+(_[a-z]+)*$/.test(label)),
          ),
          "labels in snake_case",
        ],
      ];
      return rules.filter(([kept]) => !kept).map(([, rule]) => `${name}: ${rule}`);
    });
  assert.deepEqual(broken, []);
});

test("Chihaya's metrics are all there", () => {
  const names = families.map(({ name }) => name);
  assert.deepEqual(
    chihayas.filter((name) => !names.includes(name)),
    [],
  );
});

test("docs/metrics.md describes exactly the metrics of a running tracker, with types and labels", () => {
  const registered = families.map(({ name, kind, series }) => {
    const labels = Object.keys(series[0]?.labels ?? {}).sort();
    return `${name} ${kind} ${labels}`;
  });
  const rows = readFileSync("docs/metrics.md", "utf8").matchAll(
    /^\| `(\w+)` \| (counter|gauge|histogram) \| (.*?) ?\|/gm,
  );
  const documented = [...rows].map(([, name, kind, labels = ""]) => {
    const names = [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label).sort();
    return `${name} ${kind} ${names}`;
  });
  const linux = /^process_(open|max)_fds /;
  const comparable = (lines: string[]): string[] =>
    lines.filter((line) => process.platform === "linux" || !linux.test(line)).sort();
  assert.deepEqual(comparable(documented), comparable(registered));
});
