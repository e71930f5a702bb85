/**
 * Alerts in a real Prometheus: each fault raises its alert, and a healthy tracker under load raises none.
 *
 * The tests shorten the times of the rules, and take some minutes. With CHIHAYA_ALERTS=shipped the times are those of the rules, and the tests take
 * 40 minutes. Without Prometheus the test is skipped; with CHIHAYA_REQUIRE_CLIENTS=1 it fails.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { findFreePort } from "../e2e/ports.ts";
import { startProcess, withoutProgram } from "../e2e/process.ts";
import { announceQuery } from "../fixtures/http-server.ts";
import { AnnounceLoad } from "../support/announce-load.ts";
import { Daemon, type DaemonSettings, main, Program, temporaryDirectory, toYaml } from "../support/daemon.ts";
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
    // A busy machine can fail the scrapes of some seconds. A window is longer, so that it shows a fault that happens once. Three
    // starts may take longer than that.
    const short = rules
      .replace(/\bfor: \w+/g, "for: 1s")
      .replace(/\[(\d+)m\]/g, (_, minutes) => (minutes === "30" ? "[10m]" : "[30s]"));
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

/** Makes a certificate that ended in the year 2020. */
function makeExpiredCertificate(folder: string): { tls_cert_path: string; tls_key_path: string } {
  const files = makeCertificate(folder);
  const { tls_cert_path, tls_key_path } = files;
  const request = join(folder, "request.pem");
  const settings = join(folder, "ca.conf");
  writeFileSync(join(folder, "index.txt"), "");
  const lines = [`database = ${join(folder, "index.txt")}`, `new_certs_dir = ${folder}`, "policy = policy"];
  const more = ["default_md = sha256", "rand_serial = yes", "[policy]", "commonName = supplied"];
  writeFileSync(settings, ["[ca]", "default_ca = own", "[own]", ...lines, ...more, ""].join("\n"));
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "ignore" });
  openssl("req", "-new", "-key", tls_key_path, "-subj", "/CN=a.test", "-out", request);
  openssl(
    "ca",
    "-batch",
    "-selfsign",
    "-config",
    settings,
    "-keyfile",
    tls_key_path,
    "-in",
    request,
    "-out",
    tls_cert_path,
    ...["-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-notext"],
  );
  return files;
}

/** Watches until each of the alerts has fired. */
async function untilFired(
  t: TestContext,
  prometheus: Prometheus,
  expected: readonly (readonly [string, string])[],
): Promise<void> {
  const missing = new Set(expected.map(([instance, name]) => `${name} ${instance}`));
  const begin = Date.now();
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
      await announce(faulty, { port: "2000" }); // a new peer, for which the store has no room
      if (lost) await announce(lost);
      await wait(isShipped ? 2000 : 200);
    }
  };
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
  const named = expected.map(([daemon, name]) => [hostOf(daemon), name] as const);
  // Some alerts fire for a few seconds only.
  const watching = untilFired(t, prometheus, named).finally(() => over.abort());
  watching.catch(() => undefined);
  for (let port = 1; port <= 1100; port++) await announce(faulty, { port: `${port}` });
  await faulty.reload({ ...withoutTokens, metrics_addr: "127.0.0.1:1" });
  await faulty.reload("chihaya: { nonsense: 1 }\n");
  rmSync(list);
  killed.child.kill("SIGKILL");
  if (redis) await redis.stop();
  await announce(faulty, { do: "die" });
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
  await Promise.all([repeatFaults(), watching, keepLoad()]).finally(() => over.abort());

  // A busy machine makes a tracker slow for a second, which is all that these alerts need with the short times.
  const slow = isShipped ? "" : "ChihayaDown|ChihayaEventLoopSlow|ChihayaLatencyHigh";
  const firing = `ALERTS{alertstate="firing",alertname!~"${slow}",instance="${hostOf(healthy)}"}`;
  assert.deepEqual(await prometheus.find(`count_over_time(${firing}[2h])`), []);
});

test("faults of the machine raise their alerts", { skip, timeout }, async (t) => {
  const storage = { name: "memory", config: { max_peers: 1000 } };
  const probed = { storage, workers: 1, prehooks: [{ module: probe }] };
  const waiting = await Daemon.start(t, probed);
  const spinning = await Daemon.start(t, { ...probed, udp: { receive_buffer: 65_536 } });
  const expired = await Daemon.start(t, {
    storage,
    http: { https_addr: "127.0.0.1:0", ...makeExpiredCertificate(temporaryDirectory(t)) },
  });
  /** Starts a tracker in a shell, where the address of its metrics is known before. */
  const startIn = async (script: string, settings: DaemonSettings = {}) => {
    const file = join(temporaryDirectory(t), "chihaya.yaml");
    const host = `127.0.0.1:${await findFreePort()}`;
    writeFileSync(file, toYaml({ workers: 1, storage, metrics_addr: host, ...settings }));
    const start = () =>
      new Program(t, "sh", ["-c", script, process.execPath, main, "--json", "--config", file]);
    return { host, start, tracker: start() };
  };
  const full = await startIn('exec "$0" "$@" 2>/dev/full');
  const http = { idle_timeout: "1h", read_timeout: "1h", max_connections: 16_384 };
  const crowded = await startIn('ulimit -n 1024 && exec "$0" "$@"', { http });
  const looping = await startIn('exec "$0" "$@"');
  const hosts = [...[waiting, spinning, expired].map(hostOf), full.host, crowded.host, looping.host];
  const prometheus = await Prometheus.start(t, hosts);
  while ((await prometheus.find("count_over_time(up[5m]) > 2 and up == 1")).length < hosts.length)
    await wait(200);

  const { url } = await crowded.tracker.until(
    ({ msg, url }) => msg === "serving" && url?.startsWith("http:") === true,
  );
  for (let i = 0; i < 850; i++) {
    const client = connect({
      port: Number(new URL(url!).port),
      host: "127.0.0.1",
      localAddress: `127.0.1.${i % 250}`,
    });
    client.on("error", () => {});
    t.after(() => client.destroy());
    await once(client, "connect");
  }
  const over = new AbortController();
  const announce = (daemon: Daemon, what: string) =>
    fetch(`${daemon.url("http")}/announce?${announceQuery({ do: what })}`).then((response) =>
      response.text(),
    );
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  const connectRequest = Buffer.from("000004172710198000000000deadbeef", "hex");
  const repeatFaults = async () => {
    while (!over.signal.aborted) {
      const responses = [announce(waiting, "wait"), announce(spinning, "spin")];
      // The tracker reads none of these meanwhile.
      for (let i = 0; i < 1000; i++) socket.send(connectRequest, spinning.port("udp"), "127.0.0.1");
      await Promise.all(responses);
      // Each reload writes lines to the log.
      await fetch(`http://${full.host}/metrics`).then((response) => response.text());
      full.tracker.child.kill("SIGHUP");
      await wait(isShipped ? 100 : 50);
    }
  };
  const crashAgain = async () => {
    const one = `{instance="${looping.host}"}`;
    for (let crashes = 0, { tracker } = looping; crashes < 3; crashes++) {
      const isSeen = `changes(process_start_time_seconds${one}[30m]) == ${crashes} and on (instance) up${one} == 1`;
      while ((await prometheus.find(isSeen)).length === 0) {
        t.signal.throwIfAborted();
        await wait(200);
      }
      tracker.child.kill("SIGKILL");
      await tracker.ended;
      tracker = looping.start();
    }
  };
  const fired = untilFired(t, prometheus, [
    [hostOf(waiting), "ChihayaLatencyHigh"],
    [hostOf(spinning), "ChihayaEventLoopSlow"],
    [hostOf(spinning), "ChihayaUdpDrops"],
    [hostOf(expired), "ChihayaCertificateExpired"],
    [full.host, "ChihayaLogDropped"],
    [crowded.host, "ChihayaDescriptorsNearLimit"],
    [looping.host, "ChihayaCrashLooping"],
  ]).then(() => over.abort());
  await Promise.all([repeatFaults(), crashAgain(), fired]).finally(() => over.abort());
});
