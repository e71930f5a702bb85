/**
 * Alerts in a real Prometheus: each fault raises its alert, and a healthy tracker under load raises none.
 *
 * The test shortens the times of the rules, and takes half a minute. With CHIHAYA_ALERTS=shipped the times are those of the rules, and the test takes
 * 40 minutes. Without Prometheus the test is skipped; with CHIHAYA_REQUIRE_CLIENTS=1 it fails.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { findFreePort } from "../e2e/ports.ts";
import { startProcess, withoutProgram } from "../e2e/process.ts";
import { announceQuery } from "../fixtures/http-server.ts";
import { AnnounceLoad } from "../support/announce-load.ts";
import { Daemon, temporaryDirectory } from "../support/daemon.ts";
import { startRedisServer, withoutRedis } from "../support/redis-server.ts";

const isShipped = process.env.CHIHAYA_ALERTS === "shipped";
const skip = await withoutProgram("prometheus", ["--version"], "apt install prometheus");
const probe = join(import.meta.dirname, "../fixtures/probe-hook.ts");
/** Ends a test whose alert never fires. */
const timeout = (isShipped ? 60 : 5) * 60_000;

/** An alert as Prometheus shows it. */
interface Alert {
  state: "pending" | "firing";
  labels: { alertname: string; instance: string };
  annotations: { summary: string };
  activeAt: string;
}

/** A Prometheus that scrapes trackers, with the rules of this project. */
class Prometheus {
  readonly url: string;

  private constructor(port: number) {
    this.url = `http://127.0.0.1:${port}`;
  }

  /** @param targets  addresses of metrics listeners */
  static async start(t: TestContext, targets: readonly string[]): Promise<Prometheus> {
    const folder = temporaryDirectory(t);
    const rules = readFileSync("deploy/prometheus/rules.yaml", "utf8");
    const short = rules.replace(/\bfor: \w+/g, "for: 1s").replace(/\[\d+m\]/g, "[6s]");
    writeFileSync(join(folder, "rules.yaml"), isShipped ? rules : short);
    const interval = isShipped ? "15s" : "1s";
    const config = {
      global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
      rule_files: ["rules.yaml"],
      scrape_configs: [{ job_name: "chihaya", static_configs: [{ targets }] }],
    };
    const file = join(folder, "prometheus.yaml");
    writeFileSync(file, JSON.stringify(config));
    const port = await findFreePort();
    const args = [`--config.file=${file}`, `--storage.tsdb.path=${folder}`];
    const process = startProcess("prometheus", "prometheus", [
      ...args,
      `--web.listen-address=127.0.0.1:${port}`,
    ]);
    t.after(() => process.stop());
    const prometheus = new Prometheus(port);
    while (!(await fetch(`${prometheus.url}/-/ready`).catch(() => undefined))?.ok) {
      assert.equal(process.ended, undefined, process.output());
      await wait(50);
    }
    return prometheus;
  }

  async alerts(): Promise<Alert[]> {
    return (await this.#get<{ alerts: Alert[] }>("alerts")).alerts;
  }

  /** Returns the labels of the series that a query finds. */
  async find(query: string): Promise<Alert["labels"][]> {
    const path = `query?query=${encodeURIComponent(query)}`;
    const { result } = await this.#get<{ result: { metric: Alert["labels"] }[] }>(path);
    return result.map(({ metric }) => metric);
  }

  async #get<Data>(path: string): Promise<Data> {
    const response = await fetch(`${this.url}/api/v1/${path}`);
    return ((await response.json()) as { data: Data }).data;
  }
}

function hostOf(daemon: Daemon): string {
  return new URL(daemon.url("metrics")).host;
}

/** Makes a certificate that ends in two days. */
function makeCertificate(folder: string): { tls_cert_path: string; tls_key_path: string } {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const files = ["-keyout", key, "-out", cert, "-subj", "/CN=a.test", "-days", "2"];
  execFileSync("openssl", ["req", "-x509", ...kind, ...files], { stdio: "ignore" });
  return { tls_cert_path: cert, tls_key_path: key };
}

test("each fault raises its alert, and a healthy tracker raises none", { skip, timeout }, async (t) => {
  const folder = temporaryDirectory(t);
  const list = join(folder, "list.txt");
  const kept = join(folder, "kept.txt");
  for (const file of [list, kept]) writeFileSync(file, `${"bb".repeat(20)}\n`);
  const approval = (file: string) => ({
    name: "torrent approval",
    options: { blacklist_from: [file], check_interval: "1s" },
  });
  const healthy = await Daemon.start(t, {
    storage: { name: "memory", config: { max_peers: 100_000 } },
    workers: 2,
    prehooks: [approval(kept), { module: probe }],
  });
  const settings = {
    storage: { name: "memory", config: { max_peers: 1000 } },
    workers: 2,
    http: { https_addr: "127.0.0.1:0", ...makeCertificate(folder) },
    prehooks: [
      approval(list),
      { module: probe, timeout: "100ms" },
      { name: "jwt", options: { issuer: "a", audience: "b", jwk_set_url: "http://127.0.0.1:1/keys" } },
    ],
  };
  const withoutTokens = { ...settings, prehooks: settings.prehooks.slice(0, 2) };
  const faulty = await Daemon.start(t, withoutTokens);
  const tokens = await Daemon.start(t, { storage: settings.storage, prehooks: settings.prehooks.slice(2) });
  const killed = await Daemon.start(t, { storage: settings.storage });
  const redis = withoutRedis ? undefined : await startRedisServer();
  const lost =
    redis && (await Daemon.start(t, { storage: { name: "redis", config: { redis_broker: redis.url } } }));
  const daemons = [healthy, faulty, tokens, killed, ...(lost ? [lost] : [])];
  const prometheus = await Prometheus.start(t, daemons.map(hostOf));
  // Three scrapes of the healthy state.
  while ((await prometheus.find("count_over_time(up[5m]) > 2 and up == 1")).length < daemons.length)
    await wait(200);

  const over = new AbortController();
  /** Announces, also to a worker that dies meanwhile. */
  const announce = async (daemon: Daemon, changes: Record<string, string> = {}) => {
    const url = `${daemon.url("http")}/announce?${announceQuery(changes)}`;
    await fetch(url).then(
      (response) => response.text(),
      () => undefined,
    );
  };
  /** Repeats what has to last as long as an alert. */
  const repeatFaults = async () => {
    while (!over.signal.aborted) {
      await announce(faulty, { do: "throw" });
      await announce(faulty, { do: "hang" });
      if (lost) await announce(lost);
      await wait(isShipped ? 2000 : 200);
    }
  };
  for (let port = 1; port <= 1100; port++) await announce(faulty, { port: `${port}` });
  await faulty.reload({ ...withoutTokens, metrics_addr: "127.0.0.1:1" });
  await faulty.reload("chihaya: { nonsense: 1 }\n");
  rmSync(list);
  killed.child.kill("SIGKILL");
  if (redis) await redis.stop();
  await announce(faulty, { do: "die" });

  const expected = [
    [faulty, "ChihayaHookFailing"],
    [faulty, "ChihayaErrorRate"],
    [faulty, "ChihayaHookRefusing"],
    [faulty, "ChihayaReloadRefused"],
    [faulty, "ChihayaRestartNeeded"],
    [faulty, "ChihayaListFailing"],
    [faulty, "ChihayaStoreNearlyFull"],
    [faulty, "ChihayaStoreFull"],
    [faulty, "ChihayaWorkerRestarted"],
    [faulty, "ChihayaCertificateExpiring"],
    [tokens, "ChihayaJwtKeysFailing"],
    [killed, "ChihayaDown"],
    ...(lost
      ? ([
          [lost, "ChihayaRedisDown"],
          [lost, "ChihayaRedisOutages"],
        ] as const)
      : []),
    ...(isShipped ? ([[faulty, "ChihayaListStale"]] as const) : []),
  ] as const;
  const missing = new Set(expected.map(([daemon, name]) => `${name} ${hostOf(daemon)}`));
  const begin = Date.now();
  const watchAlerts = async () => {
    while (missing.size > 0) {
      await wait(isShipped ? 5000 : 200);
      for (const { state, labels, annotations } of await prometheus.alerts()) {
        const key = `${labels.alertname} ${labels.instance}`;
        if (state !== "firing" || !missing.delete(key)) continue;
        t.diagnostic(
          `${Math.round((Date.now() - begin) / 1000)} s: ${labels.alertname}: ${annotations.summary}`,
        );
      }
      t.signal.throwIfAborted();
    }
    over.abort();
  };
  const ports = { udp: healthy.port("udp"), http: healthy.port("http") };
  /** Keeps the healthy tracker busy. On a busy machine a late response ends the load, and another load begins. */
  const keepLoad = async () => {
    while (!over.signal.aborted) {
      const load = await AnnounceLoad.open(t, ports);
      const run = async () => {
        while (!over.signal.aborted) await load.run(isShipped ? 20 : 1, 300);
      };
      await run().catch((error) => t.diagnostic(`load: ${error}`));
    }
  };
  await Promise.all([repeatFaults(), watchAlerts(), keepLoad()]).finally(() => over.abort());

  // A busy machine makes a tracker slow for a second, which is all that these alerts need with the short times.
  const slow = isShipped ? "" : "ChihayaDown|ChihayaEventLoopSlow|ChihayaLatencyHigh";
  const firing = `ALERTS{alertstate="firing",alertname!~"${slow}",instance="${hostOf(healthy)}"}`;
  assert.deepEqual(await prometheus.find(`count_over_time(${firing}[2h])`), []);
});
