import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { ClientApprovalOptions } from "../hooks/index.ts";
import { lifetimeOf } from "../storage/define-store.ts";
import { loadConfig } from "./load.ts";

const directory = mkdtempSync(join(tmpdir(), "chihaya-legacy-"));
after(() => rmSync(directory, { recursive: true }));

function write(text: string): string {
  const file = join(directory, "chihaya.yaml");
  writeFileSync(file, text);
  return file;
}

const load = (name: string) => loadFile(`test/fixtures/config/chihaya/${name}.yaml`);
const loadText = (text: string) => loadFile(write(text));

function loadFile(file: string) {
  const result = loadConfig({ file, env: {} });
  assert.deepEqual(result.ok ? [] : result.errors, []);
  assert.ok(result.ok);
  return { ...result, warned: result.warnings.map(({ line, path }) => `${line} ${path}`) };
}

test("Chihaya's example file loads unmodified", () => {
  const { config, warned } = load("example_config");
  assert.deepEqual(warned, ["21 http.real_ip_header", "28 udp.private_key"]);
  assert.deepEqual(config.http?.listen, [{ host: "0.0.0.0", port: 6969 }]);
  assert.deepEqual(config.http.listenTls, []);
  assert.equal(config.http.keepAlive, false);
  assert.equal(config.udp?.maxScrapeInfoHashes, 50);
  assert.deepEqual(config.metricsListen, [{ host: "0.0.0.0", port: 6880 }]);
  assert.deepEqual(config.preHooks, []);
  assert.equal(lifetimeOf(config.storage.config).peerLifetime, 1860);
});

test("the values of its Helm chart load unmodified", () => {
  const { config, warned } = load("helm_values");
  assert.deepEqual(warned, [
    "6 prometheus_addr",
    "7 max_numwant",
    "8 default_numwant",
    "9 max_scrape_infohashes",
    "19 http.enable_legacy_php_urls",
    "21 http.real_ip_header",
    "28 udp.private_key",
    "38 storage.config.peer_lifetime",
  ]);
  assert.equal(config.http?.maxNumWant, 100); // that of the block, as in Chihaya
  assert.deepEqual(config.http.announceRoutes, ["/announce"]);
  assert.deepEqual(
    config.preHooks.map(({ name }) => name),
    ["client approval", "interval variation"],
  );
});

test("older spellings are understood, and each says what to write", () => {
  const { config, warnings } = load("legacy_keys");
  assert.deepEqual(
    warnings.map(({ line, path, message }) => `${line} ${path}: ${message}`),
    [
      '5 prometheus_addr: older spelling; write "metrics_addr"',
      '6 max_numwant: older spelling; write "max_numwant" below "http" and "udp", where it is used if missing',
      '7 default_numwant: older spelling; write "default_numwant" below "http" and "udp", where it is used if missing',
      '8 max_scrape_infohashes: older spelling; write "max_scrape_infohashes" below "http" and "udp", where it is used if missing',
      "8 udp.max_scrape_infohashes: a UDP response has room for 74 infohashes; 74 is used",
      '11 http.enable_legacy_php_urls: older spelling; add "/announce.php" to "announce_routes" and "/scrape.php" to "scrape_routes"',
      "12 http.read_timeout: 0 means the default, as in Chihaya; remove the key",
      "19 storage.config.shards: older spelling without effect; remove it",
      '22 prehooks[0].config: older spelling; write "options"',
    ],
  );
  assert.deepEqual(config.metricsListen, [{ host: "127.0.0.1", port: 6880 }]);
  assert.deepEqual(config.http?.announceRoutes, ["/announce", "/announce.php"]);
  assert.deepEqual(config.http.scrapeRoutes, ["/scrape", "/scrape.php"]);
  assert.equal(config.http.readTimeout, 5);
  assert.deepEqual([config.http.maxNumWant, config.http.defaultNumWant], [40, 20]);
  assert.equal(config.http.maxScrapeInfoHashes, 90);
  assert.deepEqual([config.udp?.maxNumWant, config.udp?.defaultNumWant], [30, 20]);
  assert.equal(config.udp?.maxScrapeInfoHashes, 74);
  assert.deepEqual(config.preHooks[0]?.options, {
    modifyResponseProbability: 0.2,
    maxIncreaseDelta: 60,
    modifyMinInterval: true,
  });
});

test("files of 2.0.0-rc.1 and of the time after it load unmodified", () => {
  const quay = load("quay");
  assert.deepEqual(quay.warned, [
    "4 prometheus_addr",
    "9 http.real_ip_header",
    "12 http.request_timeout",
    "15 storage.gc_interval",
    "16 storage.peer_lifetime",
    "16 storage.config.peer_lifetime",
    "17 storage.shards",
    "18 storage.max_numwant",
    "22 prehooks[0].config",
  ]);
  assert.equal(quay.config.http?.maxNumWant, 50);
  assert.deepEqual(
    [lifetimeOf(quay.config.storage.config).gcInterval, lifetimeOf(quay.config.storage.config).peerLifetime],
    [840, 900],
  );
  const [jwt] = quay.config.preHooks;
  assert.equal(jwt?.name, "jwt");

  const { config } = load("rc1_example");
  assert.deepEqual([config.http?.maxNumWant, config.udp?.maxNumWant], [100, 100]);
  assert.equal(config.udp?.privateKey.startsWith("paste"), true);
  // Both lists: what is in the one and not in the other.
  const { whitelist, blacklist } = config.preHooks[1]!.options as ClientApprovalOptions;
  assert.deepEqual([whitelist, blacklist], [["OP1011"], []]);
  assert.deepEqual(config.postHooks, []);

  for (const name of ["helm_2017", "example_2017"]) {
    const { config, warnings } = load(name);
    assert.deepEqual(
      [lifetimeOf(config.storage.config).gcInterval, lifetimeOf(config.storage.config).peerLifetime],
      [840, 960],
    );
    for (const { message } of warnings) assert.doesNotMatch(message, /unknown/);
  }
});

test("older keys give way to those that replaced them", () => {
  const { config } = loadText(`chihaya:
  http: {}
  storage:
    gc_interval: 1m
    max_numwant: 10
    name: memory
    config:
      gc_interval: 2m
`);
  assert.equal(lifetimeOf(config.storage.config).gcInterval, 120);
  assert.deepEqual([config.http?.maxNumWant, config.http?.defaultNumWant], [10, 10]);
});

test("a configuration of Chihaya 1 is called so", () => {
  const text = '{"createOnAnnounce": true, "announce": "15m", "udpListenAddr": "0.0.0.0:6881"}';
  const result = loadConfig({ file: write(text), env: {} });
  assert.ok(!result.ok);
  assert.deepEqual(
    result.errors.map(({ message }) => message),
    [
      'this is a configuration of Chihaya 1, which has other keys; start from the output of "chihaya config --default"',
    ],
  );
});
