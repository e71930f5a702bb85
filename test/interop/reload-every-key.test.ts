/**
 * Every key of the configuration, outside of the hooks, is either marked as one that needs a restart, and then a reload
 * names it, or a reload changes what the tracker does to what it would do if it had been started so.
 */
import assert from "node:assert/strict";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { type AnyValue, leaves, outline } from "../../src/config/outline.ts";
import { settle } from "../../src/config/settle.ts";
import type { UseValue } from "../../src/config/uses.ts";
import * as builtInHooks from "../../src/hooks/index.ts";
import { Address } from "../../src/ip/address.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { portableNetwork } from "../../src/net/network.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { renderPrometheus } from "../../src/observability/prometheus.ts";
import type { AnyBlock } from "../../src/options/index.ts";
import { LocalHost } from "../../src/process/host.ts";
import { createAnnounceRequest, createScrapeRequest } from "../../src/protocol/udp/client.ts";
import type { PeerStore } from "../../src/storage/peer-store.ts";
import { createStore } from "../../src/tracker/create-store.ts";
import { LocalHub } from "../../src/tracker/share-hub.ts";
import { certificates } from "../fixtures/certificates.ts";
import { announceQuery, RawClient } from "../fixtures/http-server.ts";
import { temporaryDirectory } from "../support/daemon.ts";
import { createIssuerKey } from "../support/jwt-issuer.ts";
import { UdpClient } from "../support/udp.ts";

/** Values by their keys: `http.max_numwant`. */
type Values = Readonly<Record<string, string>>;

const issuer = await createIssuerKey("1");

/** What every tracker here is started with. */
const common: Values = {
  "http.addr": "127.0.0.1:0,[::1]:0",
  "udp.addr": "127.0.0.1:0",
  "udp.private_key": "0123456789abcdef",
  "storage.config.max_peers": "1000",
};

function load(values: Values, file?: string) {
  const set = Object.entries({ ...common, ...values }).map(([key, value]) => `${key}=${value}`);
  const loaded = loadConfig({ env: {}, set, file });
  assert.deepEqual(loaded.ok ? [] : loaded.errors, []);
  assert.ok(loaded.ok);
  return loaded;
}

const infoHash = Buffer.alloc(20, "a");
const query = (changes: Record<string, string | null> = {}) =>
  announceQuery({ info_hash: "a".repeat(20), ...changes });

/** A tracker in this process, whose clock is the test's. */
class Running {
  readonly t: TestContext;
  readonly clock = { seconds: 100_000, unixSeconds: 1_700_000_000 };
  readonly #metrics = new Metrics();
  #store!: PeerStore;
  #host!: LocalHost;

  private constructor(t: TestContext) {
    this.t = t;
  }

  /** @param file  a configuration with hooks */
  static async start(t: TestContext, values: Values, file?: string): Promise<Running> {
    const running = new Running(t);
    const { clock } = running;
    const metrics = running.#metrics;
    const random = createRandom(1);
    const own = { clock, random, metrics, logger: silentLogger, isFirst: true, owner: 1 };
    const { config } = load(values, file);
    running.#store = await createStore(config.storage, own);
    const hub = new LocalHub({ clock, random });
    running.#host = new LocalHost({ ...own, config, hub, store: running.#store }, portableNetwork);
    await running.#host.start();
    t.after(() => running.#host.stop(0));
    return running;
  }

  async reload(values: Values, file?: string): Promise<void> {
    const next = load(values, file);
    const { config, needsRestart } = settle(this.#host.config, next.config, next.restartMarks);
    assert.deepEqual(needsRestart, []);
    await this.#host.reload(config);
  }

  port(scheme: string, host = "127.0.0.1"): number {
    const url = this.#host.urls().find((one) => one.startsWith(`${scheme}://${host}`));
    return Number(new URL(url!).port);
  }

  http(host?: string): RawClient {
    const port = this.port("http", host?.includes(":") ? `[${host}]` : host);
    return new RawClient(this.t, port, host);
  }

  async get(target: string, headers?: string, host?: string): Promise<string> {
    const { status, body } = await this.http(host).get(target, headers);
    return `${status} ${body}`;
  }

  /** What a second client gets after a first one has announced. */
  async listed(first: Record<string, string> = {}, headers?: string, host?: string): Promise<string> {
    await this.get(`/announce?${query({ port: "1", ...first })}`, headers, host);
    return this.get(`/announce?${query({ port: "2" })}`, undefined, host);
  }

  async udp(): Promise<{ client: UdpClient; connectionId: bigint }> {
    const client = await UdpClient.open(4, this.port("udp"));
    this.t.after(() => client.close());
    return { client, connectionId: await client.connect() };
  }

  async announceUdp(changes: Partial<Parameters<typeof createAnnounceRequest>[0]> = {}): Promise<string> {
    const { client, connectionId } = await this.udp();
    const peerId = Buffer.alloc(20, "b");
    const packet = { connectionId, transactionId: 1, infoHash, peerId, left: 1n, port: 9, ...changes };
    return Buffer.from(await client.exchange(createAnnounceRequest(packet))).toString("latin1");
  }

  /** A sum that a histogram shows. */
  async sum(name: string): Promise<number> {
    const text = renderPrometheus(await this.#metrics.scrape());
    return [...text.matchAll(new RegExp(`^${name}_sum\\S* (\\S+)$`, "gm"))].reduce(
      (n, [, x]) => n + Number(x),
      0,
    );
  }

  /** Whether a connection answers after so many seconds. */
  async survives(client: RawClient, seconds: number): Promise<boolean> {
    await this.get("/"); // whoever connected before has been accepted
    this.clock.seconds += seconds;
    this.t.mock.timers.tick(1000);
    return this.answers(client);
  }

  async answers(client: RawClient): Promise<boolean> {
    const { status } = await client.get(`/announce?${query()}`).catch(() => ({ status: 0 }));
    return status === 200;
  }

  async count(): Promise<number> {
    const { leechers } = await this.#store.statistics();
    return leechers;
  }

  expire(): number | Promise<number> {
    return this.#store.expire();
  }
}

/** How a key is changed, and what shows it. */
interface Case {
  /** What the tracker is started with besides. */
  with?: Values;
  /** What the configuration has besides, as YAML; it is given a directory for files. */
  file?: (directory: string) => string;
  /** The new value; or those of several keys that only change together. */
  to: string | Values;
  /** Tells the tracker with the old value from the one with the new. */
  probe: (running: Running) => Promise<unknown>;
}

const announced: Case["probe"] = (running) => running.get(`/announce?${query()}`);
const scraped: Case["probe"] = (running) =>
  running.get(`/scrape?info_hash=${"a".repeat(20)}&info_hash=${"b".repeat(20)}`);
const crowd: Case["probe"] = async (running) => {
  for (const port of ["1", "2", "3"]) await running.get(`/announce?${query({ port })}`);
  return [
    (await running.get(`/announce?${query({ port: "4", numwant: "3" })}`)).length,
    (await running.get(`/announce?${query({ port: "4" })}`)).length,
  ];
};
const crowdUdp: Case["probe"] = async (running) => {
  for (const port of [1, 2, 3]) await running.announceUdp({ port });
  return [
    (await running.announceUdp({ port: 4, numWant: 3 })).length,
    (await running.announceUdp({ port: 4 })).length,
  ];
};
const spoofed: Case["probe"] = (running) => running.listed({ ip: "192.0.2.9" });
const spoofedUdp: Case["probe"] = async (running) => {
  await running.announceUdp({ port: 1, address: Address.parse("192.0.2.9") });
  return running.announceUdp({ port: 2 });
};
const forwarded: Case["probe"] = (running) => running.listed({}, "X-Real-Ip: 192.0.2.9\r\n");
const timed = (protocol: string): Case["probe"] => {
  return async (running) => {
    const sum = () => running.sum(`chihaya_${protocol}_response_duration_milliseconds`);
    const before = await sum();
    await (protocol === "http" ? announced(running) : running.announceUdp());
    return (await sum()) > before;
  };
};
const lives = (seconds: number): Case["probe"] => {
  return async (running) => {
    await announced(running);
    running.clock.seconds += seconds;
    await running.expire();
    return running.count();
  };
};

const cases: Readonly<Record<string, Case>> = {
  announce_interval: { to: "40m", probe: announced },
  min_announce_interval: { to: "1m", probe: announced },
  "external_ip.ipv4": { to: "203.0.113.1", probe: (running) => running.listed() },
  "external_ip.ipv6": { to: "2001:db8::1", probe: (running) => running.listed({}, undefined, "::1") },
  "external_ip.networks": {
    with: { "external_ip.ipv4": "203.0.113.1" },
    to: "10.0.0.0/8",
    probe: (running) => running.listed(),
  },
  "http.read_timeout": { to: "1h", probe: (running) => running.survives(running.http(), 20) },
  "http.idle_timeout": {
    to: "1h",
    async probe(running) {
      const client = running.http();
      await running.answers(client);
      return running.survives(client, 100);
    },
  },
  "http.enable_keepalive": {
    to: "false",
    probe: async (running) => (await running.http().get(`/announce?${query()}`)).head,
  },
  "http.enable_request_timing": { to: "false", probe: timed("http") },
  "http.announce_routes": { to: "/x", probe: (running) => running.get(`/x?${query()}`) },
  "http.scrape_routes": { to: "/x", probe: (running) => running.get(`/x?info_hash=${"a".repeat(20)}`) },
  "http.allow_ip_spoofing": { to: "true", probe: spoofed },
  "http.ip_spoofing_from": {
    with: { "http.allow_ip_spoofing": "true" },
    to: "10.0.0.0/8",
    probe: spoofed,
  },
  "http.real_ip_header": {
    with: { "http.trusted_proxies": "127.0.0.1" },
    to: "x-real-ip",
    probe: forwarded,
  },
  "http.trusted_proxies": { with: { "http.real_ip_header": "x-real-ip" }, to: "127.0.0.1", probe: forwarded },
  "http.proxy_protocol": {
    with: { "http.trusted_proxies": "127.0.0.1" },
    to: "true",
    async probe(running) {
      const client = running.http();
      client.send("PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\n");
      return running.answers(client);
    },
  },
  "http.max_numwant": { to: "1", probe: crowd },
  "http.default_numwant": { to: "1", probe: crowd },
  "http.max_scrape_infohashes": { to: "1", probe: scraped },
  "http.max_connections": {
    to: "1",
    async probe(running) {
      const first = running.http();
      await running.answers(first);
      await running.answers(running.http());
      return running.answers(first);
    },
  },
  "http.max_header_bytes": {
    to: "512",
    probe: async (running) =>
      (await running.http().get(`/announce?${query()}`, `X: ${"x".repeat(600)}\r\n`)).status,
  },
  "http.opentracker.stats_path": {
    with: { "http.opentracker.full_scrape": "false" },
    to: "/figures",
    probe: (running) => running.get("/figures"),
  },
  "http.opentracker.stats_from": {
    with: { "http.opentracker.full_scrape": "false" },
    to: "10.0.0.0/8",
    probe: (running) => running.get("/stats"),
  },
  "http.opentracker.full_scrape": {
    with: { "http.opentracker.full_scrape": "false" },
    to: "true",
    async probe(running) {
      const client = running.http();
      client.send("GET /scrape HTTP/1.0\r\n\r\n");
      return client.readToEnd();
    },
  },
  "http.opentracker.redirect_url": {
    with: { "http.opentracker.full_scrape": "false" },
    to: "https://example.org/",
    probe: (running) => running.get("/"),
  },
  "udp.max_clock_skew": {
    to: "1m",
    async probe(running) {
      running.clock.unixSeconds = 1_700_000_000; // a slot of connection ids begins
      const { connectionId } = await running.udp();
      running.clock.unixSeconds -= 32;
      return (await running.announceUdp({ connectionId })).includes("bad connection");
    },
  },
  "udp.enable_request_timing": { to: "false", probe: timed("udp") },
  "udp.allow_ip_spoofing": { to: "true", probe: spoofedUdp },
  "udp.ip_spoofing_from": {
    with: { "udp.allow_ip_spoofing": "true" },
    to: "10.0.0.0/8",
    probe: spoofedUdp,
  },
  "udp.announce_routes": {
    file(directory) {
      const keys = join(directory, "keys.json");
      writeFileSync(keys, JSON.stringify({ keys: [issuer.jwk] }));
      const options = { issuer: "i", audience: "a", jwk_set_file: keys };
      return JSON.stringify({ chihaya: { prehooks: [{ name: "jwt", options }], udp: {}, http: {} } });
    },
    to: "/:jwt/announce",
    probe: (running) => running.announceUdp({ urlData: "/token/announce" }), // missing, or invalid
  },
  "udp.max_numwant": { to: "1", probe: crowdUdp },
  "udp.default_numwant": { to: "1", probe: crowdUdp },
  "udp.max_scrape_infohashes": {
    to: "1",
    async probe(running) {
      const { client, connectionId } = await running.udp();
      return (await client.exchange(createScrapeRequest(connectionId, 1, [infoHash, infoHash]))).length;
    },
  },
  "storage.config.peer_lifetime": { to: "2h", probe: lives(3600) },
  "storage.config.gc_interval": {
    to: "10s",
    async probe(running) {
      await announced(running);
      running.clock.seconds += 3600;
      for (let n = 0; n < 20; n++) running.t.mock.timers.tick(1000);
      return running.count();
    },
  },
};

const webSocketReload = [
  "src/frontend/websocket/websocket-frontend.test.ts",
  "a reload changes routes, origins, interval, offers, sizes and limits",
] as const;

const liveSyncReload = [
  "src/storage/live-sync/live-sync.test.ts",
  "a reload changes the group, the interface, the nodes and the ttl",
] as const;

/** Keys whose effect after a reload is shown by a test of its own: its file, and its name. */
const elsewhere: Readonly<Record<string, readonly [file: string, name: string]>> = {
  shutdown_timeout: ["test/interop/reload.test.ts", "the time for a stop changes"],
  network_coalesce: ["src/process/host.test.ts", "a reload changes how long requests wait for others"],
  "admin.behind_proxy": ["src/operator/admin.test.ts", "a reload changes tokens, hosts and the proxy"],
  "admin.hosts": ["src/operator/admin.test.ts", "a reload changes tokens, hosts and the proxy"],
  "admin.tokens": ["src/operator/admin.test.ts", "a reload changes tokens, hosts and the proxy"],
  "http.opentracker.fifo_add": [
    "test/interop/list-pipes.test.ts",
    "pipes add to a whitelist and delete from it, until a reload",
  ],
  "http.opentracker.fifo_delete": [
    "test/interop/list-pipes.test.ts",
    "pipes add to a whitelist and delete from it, until a reload",
  ],
  "http.opentracker.livesync.group": liveSyncReload,
  "http.opentracker.livesync.interface": liveSyncReload,
  "http.opentracker.livesync.nodes": liveSyncReload,
  "http.opentracker.livesync.ttl": liveSyncReload,
  "http.tls_cert_path": ["test/interop/reload.test.ts", "a new certificate serves new connections"],
  "http.tls_key_path": ["test/interop/reload.test.ts", "a new certificate serves new connections"],
  "http.write_timeout": [
    "src/frontend/http/connection.test.ts",
    "a reload changes how long a client may take",
  ],
  "websocket.allow_origins": webSocketReload,
  "websocket.deny_origins": webSocketReload,
  "websocket.enable_request_timing": webSocketReload,
  "websocket.interval": webSocketReload,
  "websocket.max_connections": webSocketReload,
  "websocket.max_message_bytes": webSocketReload,
  "websocket.max_offers": webSocketReload,
  "websocket.max_scrape_infohashes": webSocketReload,
  "websocket.max_sdp_bytes": webSocketReload,
  "websocket.routes": webSocketReload,
};

/** Tests in the folder of a store that is not the default, by their names: "a reload takes KEY and KEY". */
function testsOf(store: string): string[] {
  return globSync(`src/storage/${store}/*.test.ts`).flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/test\("(a reload takes [^"]*)"/g)].map(([, name]) => name!),
  );
}

/** Every key outside of the hooks; those of a store that is not the default come with its name. */
function allKeys(): [key: string, value: AnyValue][] {
  const storage = outline.fields.get("storage") as UseValue<unknown>;
  const ofStores = [...storage.variants].flatMap(([store, variant]) =>
    [...(variant.fields.get("config") as AnyBlock).fields].map(([key, value]): [string, AnyValue] => [
      store === "memory" ? `storage.config.${key}` : `${store}: ${key}`,
      value,
    ]),
  );
  const others = leaves.filter(({ path }) => path[0] !== "storage" || path[1] === "name");
  return [...others.map(({ path, value }): [string, AnyValue] => [path.join("."), value]), ...ofStores];
}

const keys = allKeys().filter(([, { isObsolete }]) => !isObsolete);

/** Other values for the keys that need a restart, where their kind alone does not say one. */
const others: Readonly<Record<string, string>> = {
  metrics_addr: "127.0.0.1:1",
  "admin.addr": "127.0.0.1:1",
  profiling_hosts: "tracker.internal",
  "http.addr": "127.0.0.1:1",
  "http.https_addr": "127.0.0.1:2",
  "udp.addr": "127.0.0.1:1",
  "udp.private_key": "another private key",
  "websocket.addr": "127.0.0.1:3",
  "private.database": "mysql://tracker@127.0.0.1/another",
  "private.password": "another",
  "private.url": "https://site.example.com/",
  "private.secret_file": "LICENSE",
  "private.report_secret_file": "LICENSE",
  "private.ledger": "another",
  "private.listen": "127.0.0.1:2",
  "private.journal.dir": "another",
  "private.journal.keep": "48h",
  "private.trackers.addr": "127.0.0.1:1",
  "private.trackers.secret": "another secret of more than 32 characters",
  "private.announce_url": "https://tracker.example.com/:passkey",
  "private.site": "unit3d",
  "private.rules": "ocelot",
  "private.max_rate": "7",
  "private.announce_min": "15m",
  "private.peers_timeout": "3h",
  "private.idle_sessions": "20h",
  "redis: redis_broker": "redis://127.0.0.1:1",
  "redis: redis_topology": "sentinel",
  "redis: redis_sentinel_master": "another",
  "redis: key_prefix": "another:",
};

/** Whether a key has a value besides the default. */
function hasOtherValue({ facts }: AnyValue): boolean {
  const { enum: words } = facts.json as { enum?: readonly string[] };
  return words?.length !== 1;
}

/** Some other value than the default. */
function otherValue(key: string, { facts, byDefault }: AnyValue): string {
  const { type, anyOf, minimum, enum: words } = facts.json as Record<string, never>;
  if (others[key] !== undefined) return others[key];
  if (type === "boolean") return `${`${byDefault}` !== "true"}`;
  if (type === "integer") return `${minimum === byDefault ? Number(minimum) + 1 : minimum}`;
  if (words !== undefined) return (words as string[]).find((word) => word !== byDefault)!;
  return key === "workers" ? "2" : anyOf === undefined ? "7s" : "";
}

describe("a reload", () => {
  test("has each key either named or shown to have its effect, and none both", () => {
    const unmarked = keys.filter(([, { facts }]) => !facts.restart).map(([key]) => key);
    const ofStores = unmarked.filter((key) => {
      const [store, name] = key.split(": ");
      return name !== undefined && testsOf(store!).some((title) => title.split(/[ ,]+/).includes(name));
    });
    const shown = [...Object.keys(cases), ...Object.keys(elsewhere), ...ofStores];
    assert.deepEqual(shown.sort(), unmarked.sort());
  });

  for (const [key, [file, name]] of Object.entries(elsewhere)) {
    test(`${key} is shown by a test of ${file}`, () => {
      assert.ok(readFileSync(file, "utf8").includes(`test("${name}`), name);
    });
  }

  const marked = keys.filter(([, value]) => value.facts.restart && value.hasOutput && hasOtherValue(value));
  for (const [key, value] of marked) {
    test(`${key} needs a restart, and is named`, (t) => {
      const [name, ofStore] = key.split(": ") as [string, string | undefined];
      const [store, path] =
        ofStore === undefined ? [{}, key] : [{ "storage.name": name }, `storage.config.${ofStore}`];
      const directory = temporaryDirectory(t);
      const paths = { tls_cert_path: join(directory, "cert.pem"), tls_key_path: join(directory, "key.pem") };
      writeFileSync(paths.tls_cert_path, certificates[0].cert);
      writeFileSync(paths.tls_key_path, certificates[0].key);
      const copies = {
        tls_cert_path: join(directory, "cert2.pem"),
        tls_key_path: join(directory, "key2.pem"),
      };
      writeFileSync(copies.tls_cert_path, certificates[0].cert);
      writeFileSync(copies.tls_key_path, certificates[0].key);
      const tls = {
        "http.tls_cert_path": paths.tls_cert_path,
        "http.tls_key_path": paths.tls_key_path,
        "admin.addr": "127.0.0.1:8",
        "admin.tls_cert_path": paths.tls_cert_path,
        "admin.tls_key_path": paths.tls_key_path,
        "private.site": "gazelle",
        "private.database": "mysql://tracker@127.0.0.1/site",
        "private.journal.dir": "journal",
        "private.trackers.secret": "0123456789abcdef0123456789abcdef",
        "private.secret_file": "README.md",
      };
      const { "storage.config.max_peers": _, ...rest } = common;
      const start: Values = { ...rest, ...tls, "http.https_addr": "127.0.0.1:9", ...store };
      const all = (values: Values) => {
        const set = Object.entries(values).map(([name, text]) => `${name}=${text}`);
        const loaded = loadConfig({ env: {}, set });
        assert.deepEqual(loaded.ok ? [] : loaded.errors, []);
        assert.ok(loaded.ok);
        return loaded;
      };
      const copied: Values = {
        "admin.tls_cert_path": copies.tls_cert_path,
        "admin.tls_key_path": copies.tls_key_path,
        "redis: redis_ca_path": paths.tls_cert_path,
      };
      const to = copied[key] ?? otherValue(key, value);
      const running = all(start).config;
      const next = all({ ...start, [path]: to });
      const settled = settle(running, next.config, next.restartMarks);
      assert.deepEqual(settled, { config: running, needsRestart: [path] });
    });
  }

  for (const [key, { with: given = {}, file, to, probe }] of Object.entries(cases)) {
    test(`${key} is what the tracker does from then on`, async (t) => {
      t.mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
      const directory = temporaryDirectory(t);
      const path = file && join(directory, "chihaya.yaml");
      if (path) writeFileSync(path, file(directory));
      const next = { ...given, ...(typeof to === "string" ? { [key]: to } : to) };
      const before = await probe(await Running.start(t, given, path));
      const reloaded = await Running.start(t, given, path);
      await reloaded.reload(next, path);
      const after = await probe(reloaded);
      assert.notDeepEqual(after, before);
      assert.deepEqual(after, await probe(await Running.start(t, next, path)));
    });
  }

  test("has no key of a built-in hook that needs a restart: hooks are made anew", () => {
    const marked = Object.values(builtInHooks).flatMap(({ name, options }) =>
      [...(options as AnyBlock).fields]
        .filter(([, { facts }]) => facts.restart)
        .map(([key]) => `${name}: ${key}`),
    );
    assert.deepEqual(marked, []);
  });
});
