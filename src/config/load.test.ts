// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of the configuration look like that
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { certificates } from "../../test/fixtures/certificates.ts";
import type { RedisStoreConfig } from "../storage/redis/config.ts";
import type { Config } from "./config.ts";
import { type Diagnostic, formatDiagnostics } from "./diagnostics.ts";
import { type LoadOptions, type LoadResult, loadConfig } from "./load.ts";

const directory = mkdtempSync(join(tmpdir(), "chihaya-config-"));
after(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

function load(yaml: string | Uint8Array, options: Partial<LoadOptions> = {}): LoadResult {
  return loadConfig({ env: {}, ...options, file: file("chihaya.yaml", yaml) });
}

function good(yaml: string, options: Partial<LoadOptions> = {}): Config {
  const result = load(yaml, options);
  assert.deepEqual(result.ok ? [] : brief(result.errors), []);
  assert.ok(result.ok);
  return result.config;
}

/** `line:column path: message`, or the source where that is no file. */
function brief(diagnostics: readonly Diagnostic[]): string[] {
  return diagnostics.map(({ source, line, column, path, message }) => {
    const at = line === undefined ? source.replace(`${directory}/`, "") : `${line}:${column}`;
    return `${at} ${path}: ${message}`;
  });
}

function errorsOf(yaml: string | Uint8Array, options: Partial<LoadOptions> = {}): string[] {
  const result = load(yaml, options);
  return result.ok ? [] : brief(result.errors);
}

const warningsOf = (yaml: string, options: Partial<LoadOptions> = {}) => brief(load(yaml, options).warnings);

test("without a file, the frontends and the admin API run with the defaults", () => {
  const result = loadConfig({ env: {} });
  assert.ok(result.ok);
  assert.deepEqual(result.warnings, []);
  const everywhere = [
    { host: "0.0.0.0", port: 6969 },
    { host: "::", port: 6969 },
  ];
  assert.deepEqual(result.config, {
    announceInterval: 1800,
    minAnnounceInterval: 900,
    metricsListen: [{ host: "127.0.0.1", port: 6880 }],
    profiling: false,
    profilingHosts: [],
    admin: {
      addr: [],
      tlsCertPath: "",
      tlsKeyPath: "",
      behindProxy: false,
      hosts: [],
      socket: "auto",
      tokens: [],
      state: "",
    },
    shutdownTimeout: 10,
    workers: "auto",
    network: "auto",
    networkCoalesce: 0.001,
    externalIp: {
      networks: [
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
      ],
    },
    http: {
      listen: everywhere,
      listenTls: [],
      tls: undefined,
      readTimeout: 5,
      writeTimeout: 5,
      idleTimeout: 30,
      keepAlive: true,
      requestTiming: true,
      announceRoutes: ["/announce"],
      scrapeRoutes: ["/scrape"],
      allowIpSpoofing: false,
      ipSpoofingFrom: [],
      realIpHeader: "",
      trustedProxies: [],
      proxyProtocol: false,
      maxNumWant: 100,
      defaultNumWant: 50,
      maxScrapeInfoHashes: 74,
      maxConnections: 16384,
      maxHeaderBytes: 16384,
    },
    udp: {
      listen: everywhere,
      privateKey: "",
      maxClockSkew: 10,
      requestTiming: true,
      allowIpSpoofing: false,
      ipSpoofingFrom: [],
      receiveBuffer: 8_388_608,
      maxNumWant: 100,
      defaultNumWant: 50,
      maxScrapeInfoHashes: 74,
      announceRoutes: ["/announce"],
    },
    websocket: {
      listen: [],
      routes: [],
      allowOrigins: [],
      denyOrigins: [],
      interval: 120,
      maxOffers: 10,
      maxSdpBytes: 16_384,
      maxMessageBytes: 131_072,
      maxScrapeInfoHashes: 74,
      maxConnections: 16_384,
      requestTiming: true,
    },
    frontends: [],
    storage: {
      name: "memory",
      config: { gcInterval: 180, peerLifetime: 1860, maxPeers: 16_000_000, peerIds: false },
    },
    preHooks: [],
    postHooks: [],
  } satisfies Config);
});

test("a frontend without its block is off, one with an empty block has the defaults", () => {
  const table: [yaml: string, http: boolean, udp: boolean][] = [
    ["chihaya: {http: {}}", true, false],
    ["chihaya:\n  udp:\n    # all commented out\n", false, true],
    ["chihaya: {http: {addr: ':1'}, udp: ~}", true, true],
  ];
  for (const [yaml, http, udp] of table) {
    const config = good(yaml);
    assert.deepEqual([config.http !== undefined, config.udp !== undefined], [http, udp], yaml);
  }
});

test("values mean what they look like", () => {
  const { http, ...config } = good(`
chihaya:
  announce_interval: 1h30m
  shutdown_timeout: 0
  metrics_addr: ""
  http:
    addr: localhost:7000, [::1]:7000
    read_timeout: 1.5s
    write_timeout: 500ms
    enable_keepalive: no
    real_ip_header: X-Forwarded-For
    trusted_proxies: 10.0.0.0/8, ::1
    max_numwant: "2_000"
  storage: {config: {max_peers: 1_000_000, peer_ids: on, peer_lifetime: 2h}}
  prehooks:
    - name: torrent approval
      options:
        whitelist: [0000000000000000000000000000000000000001, 00000000000000000000000000000000000000e2]
    - {name: client approval, options: {whitelist: 123456}}
    - name: interval variation
      options: {modify_response_probability: .5, max_increase_delta: 60}
`);
  assert.equal(config.announceInterval, 5400);
  assert.equal(config.shutdownTimeout, 0);
  assert.deepEqual(config.metricsListen, []);
  assert.deepEqual(http?.listen, [
    { host: "127.0.0.1", port: 7000 },
    { host: "::1", port: 7000 },
  ]);
  assert.equal(http.readTimeout, 1.5);
  assert.equal(http.writeTimeout, 0.5);
  assert.equal(http.keepAlive, false);
  assert.equal(http.realIpHeader, "x-forwarded-for");
  assert.deepEqual(http.trustedProxies, ["10.0.0.0/8", "::1"]);
  assert.equal(http.maxNumWant, 2000);
  assert.deepEqual(config.storage.config, {
    gcInterval: 180,
    peerLifetime: 7200,
    maxPeers: 1e6,
    peerIds: true,
  });
  const lists = {
    ...{ whitelistFrom: [], blacklistFrom: [], checkInterval: 10, fetchInterval: 300 },
    ...{ maxEntries: 2_000_000, onFailure: "refuse" },
  };
  // Digits stay digits: as numbers, infohashes and client ids would be ruined.
  assert.deepEqual(config.preHooks, [
    {
      name: "torrent approval",
      options: {
        whitelist: ["0000000000000000000000000000000000000001", "00000000000000000000000000000000000000e2"],
        blacklist: [],
        ...lists,
      },
    },
    { name: "client approval", options: { whitelist: ["123456"], blacklist: [], ...lists } },
    {
      name: "interval variation",
      options: { modifyResponseProbability: 0.5, maxIncreaseDelta: 60, modifyMinInterval: false },
    },
  ]);
});

test("files that are no configuration are refused with a reason", () => {
  const table: [content: string | Uint8Array, error: string][] = [
    ["", '1:1 : the file is empty; it should begin with "chihaya:"'],
    ["# nothing\n", '1:1 : the file is empty; it should begin with "chihaya:"'],
    ["~", '1:1 : the file is empty; it should begin with "chihaya:"'],
    ["{}", '1:1 : the file should begin with "chihaya:"'],
    ["- a", '1:1 : expected a mapping that begins with "chihaya:"'],
    ["hello", '1:1 : expected a mapping that begins with "chihaya:"'],
    ["chihaya: [a]", "1:10 chihaya: expected a mapping, with keys such as announce_interval"],
    [
      "chihaya:",
      '1:1 : no frontend; add a block, such as "http" or "udp" (a block without keys has the defaults)',
    ],
    ["chihaya: {udp: {}}\n---\n{}", '2:1 : more than one document; remove the line "---"'],
    [
      "chihaya: {udp: {}}\n? [a]\n: b",
      '2:3 : a key must be a plain word; quote a value that begins with "{" or "["',
    ],
    ["chihaya: {udp: *all}", '1:16 udp: unknown alias "*all"; no value above has the anchor "&all"'],
    ["chihaya: &all {udp: *all}", '1:21 udp: unknown alias "*all"; no value above has the anchor "&all"'],
    [Uint8Array.of(0x63, 0xff, 0xfe), "chihaya.yaml : the file is not UTF-8 text; save it as UTF-8"],
    [new Uint8Array(2 ** 20 + 1).fill(0x23), "chihaya.yaml : the file is larger than 1048576 bytes"],
  ];
  for (const [content, error] of table) assert.deepEqual(errorsOf(content), [error]);
  const missing = loadConfig({ file: join(directory, "missing.yaml"), env: {} });
  assert.deepEqual(missing.ok || brief(missing.errors), ["missing.yaml : no such file"]);
  const folder = loadConfig({ file: directory, env: {} });
  assert.equal(folder.ok || folder.errors[0]?.message, "is a directory, not a file");
  assert.equal(good("\ufeffchihaya: {udp: {}}").http, undefined);
});

test("a merge key brings what its mapping has and the block has not", () => {
  const config = good(`
limits: &limits
  max_numwant: 60
  default_numwant: 20
x-more: {a: 1}
chihaya:
  http:
    <<: *limits
    max_numwant: 70
  udp:
    default_numwant: 30
    <<: [{receive_buffer: 70000}, *limits, {receive_buffer: 80000, private_key: 0123456789abcdef}]
  prehooks:
    - &hook
      name: rate limit
      options: &options {rate: 1, burst: 2}
    - <<: *hook
      options: {<<: *options, burst: 3}
`);
  assert.deepEqual([config.http?.maxNumWant, config.http?.defaultNumWant], [70, 20]);
  assert.deepEqual([config.udp?.maxNumWant, config.udp?.defaultNumWant], [60, 30]);
  assert.deepEqual([config.udp?.receiveBuffer, config.udp?.privateKey], [70_000, "0123456789abcdef"]);
  const [first, second] = config.preHooks.map(({ options }) => options as { rate: number; burst: number });
  assert.deepEqual([first?.rate, first?.burst, second?.rate, second?.burst], [1, 2, 1, 3]);

  const expected = "expected a mapping or a list of mappings, as <<: *name";
  assert.deepEqual(errorsOf("chihaya:\n  http:\n    <<: 5\n"), [`3:9 http.<<: ${expected}`]);
  assert.deepEqual(errorsOf("chihaya:\n  http: &a\n    <<: [*a]\n"), [
    '3:10 http.<<[0]: unknown alias "*a"; no value above has the anchor "&a"',
    `3:10 http.<<: ${expected}`,
  ]);
  assert.match(errorsOf('chihaya:\n  http:\n    "<<": {max_numwant: 5}\n')[0]!, /^3:5 http.<<: unknown key/);
});

test("lines may end with CR alone", () => {
  assert.equal(good("chihaya:\r  http: {}\r  announce_interval: 20m\r").announceInterval, 1200);
});

test("aliases that multiply, and endless nesting, end soon", () => {
  const rows = Array.from({ length: 9 }, (_, i) => `  a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`);
  const errors = errorsOf(`chihaya:\n  a0: &a0 [x]\n${rows.join("\n")}`);
  assert.ok(errors.some((error) => error.endsWith(": too many values; are there aliases that multiply?")));
  const merges = rows.map((row) => row.replace("[", "{<<: [").replace(/]$/, "]}"));
  const merged = errorsOf(`chihaya:\n  a0: &a0 {x: 1}\n${merges.join("\n")}`);
  assert.ok(merged.some((error) => error.endsWith(": too many values; are there aliases that multiply?")));
  assert.deepEqual(errorsOf(`chihaya: ${"[".repeat(80)}${"]".repeat(80)}`).length, 2);
  assert.match(errorsOf(`chihaya: ${"[".repeat(5000)}`)[0]!, /: nested too deeply$/);
  assert.equal(good("chihaya: {udp: &numbers {max_numwant: 7}, http: *numbers}").http?.maxNumWant, 7);
});

test("flags win over the environment, the environment over the file", () => {
  const yaml = "chihaya: {announce_interval: 20m, http: {max_numwant: 70}, min_announce_interval: 5m}";
  const env = {
    CHIHAYA_ANNOUNCE_INTERVAL: "25m",
    CHIHAYA_HTTP__MAX_NUMWANT: "80",
    CHIHAYA_UDP__ADDR: ":1,[::1]:2",
  };
  const config = good(yaml, { env, set: ["http.max_numwant=90", "http.announce_routes=/a, /b=c"] });
  assert.equal(config.announceInterval, 1500);
  assert.equal(config.minAnnounceInterval, 300);
  assert.equal(config.http?.maxNumWant, 90);
  assert.deepEqual(config.http.announceRoutes, ["/a", "/b=c"]);
  assert.deepEqual(
    config.udp?.listen.map(({ host, port }) => `${host} ${port}`),
    ["0.0.0.0 1", ":: 1", "::1 2"],
  );
});

test("mistakes in variables and flags name them", () => {
  const env = {
    CHIHAYA_HTTP__MAX_NUMWNT: "1",
    CHIHAYA_HTTP__MAX_NUMWANT: "x",
    CHIHAYA_HTTP_ADDR: ":1",
    CHIHAYA_PORT_6969_TCP: "tcp://10.0.0.1:6969", // as Kubernetes sets it
    CHIHAYA_CONFIG: "somewhere",
  };
  const options = { env, set: ["http.addr", "udp.adr=1", "announce_interval=5", "nonsense=1"] };
  assert.deepEqual(errorsOf("chihaya: {http: {}}", options), [
    "environment variable CHIHAYA_HTTP__MAX_NUMWNT : no such setting; did you mean CHIHAYA_HTTP__MAX_NUMWANT?",
    "--set http.addr : expected PATH=VALUE, as http.addr=127.0.0.1:6969",
    '--set udp.adr : no such setting; did you mean "udp.addr"?',
    "--set nonsense : no such setting; an example is http.addr=127.0.0.1:6969",
    '--set announce_interval announce_interval: expected a duration such as "30m", "1h30m" or "15s", got "5"; for seconds write "5s"',
    'environment variable CHIHAYA_HTTP__MAX_NUMWANT http.max_numwant: expected a whole number from 1 to 10000, got "x"',
  ]);
  assert.deepEqual(warningsOf("chihaya: {http: {}}", { env }), [
    "environment variable CHIHAYA_HTTP_ADDR : has no effect; did you mean CHIHAYA_HTTP__ADDR?",
  ]);
});

test("variables are put into values, once", () => {
  const env = { KEY: "secret-enough-${NOT}-${KEY}", EMPTY: "", N: "7" };
  const table: [text: string, key: string][] = [
    ["${KEY}", "secret-enough-${NOT}-${KEY}"],
    ["'a-${N}-sixteen-chars-${N}'", "a-7-sixteen-chars-7"],
    ["${EMPTY:-sixteen-characters}", "sixteen-characters"],
    ["${UNSET:-sixteen-characters}", "sixteen-characters"],
    ["${UNSET:-}", ""],
    ["${EMPTY}", ""],
    ['"$${KEY} and sixteen $N"', "${KEY} and sixteen $N"],
  ];
  for (const [text, key] of table) {
    assert.equal(good(`chihaya:\n  udp:\n    private_key: ${text}\n`, { env }).udp?.privateKey, key, text);
  }
  assert.equal(good('chihaya: {udp: {max_numwant: "${N}0"}}', { env }).udp?.maxNumWant, 70);
  assert.deepEqual(errorsOf('chihaya: {udp: {max_numwant: "${M}", max_clock_skew: "${1}${"}}', { env }), [
    "1:30 udp.max_numwant: the variable M is not set; set it, or give a default: ${M:-default}",
    '1:54 udp.max_clock_skew: expected ${NAME} or ${NAME:-default}; for "${" itself write "$${"',
  ]);
  assert.deepEqual(errorsOf('chihaya: {http: {addr: "${M}:1"}, udp: {addr: ["${M}:1"]}}', { env }), [
    "1:24 http.addr: the variable M is not set; set it, or give a default: ${M:-default}",
    "1:48 udp.addr[0]: the variable M is not set; set it, or give a default: ${M:-default}",
  ]);
  // "${M}" itself is short enough to be guessed.
  const unset = "chihaya: {udp: {private_key: '${M}', default_numwant: 101}}";
  assert.deepEqual(warningsOf(unset, { env }), ["1:55 udp.default_numwant: above max_numwant; 100 is used"]);
  assert.deepEqual(good("chihaya: {udp: {addr: ':${X:-1}'}}", { env }).udp?.listen[0]?.port, 1);
});

test("secrets come from files too, and are not shown", () => {
  const key = file("key", "0123456789abcdef\n");
  assert.equal(good(`chihaya: {udp: {private_key_file: ${key}}}`).udp?.privateKey, "0123456789abcdef");
  const env = { CHIHAYA_UDP__PRIVATE_KEY_FILE: key };
  assert.equal(good("chihaya: {udp: {private_key: another}}", { env }).udp?.privateKey, "0123456789abcdef");
  const both = `chihaya: {udp: {private_key: another, private_key_file: ${key}}}`;
  assert.deepEqual(errorsOf(both), [
    "1:57 udp.private_key_file: give private_key or private_key_file, not both",
  ]);
  const none = errorsOf("chihaya: {udp: {private_key_file: /nonexistent}}");
  assert.deepEqual(none, ["1:35 udp.private_key_file: cannot read /nonexistent: no such file"]);
  const result = load("chihaya:\n  udp:\n    private_key: short\n");
  assert.equal(result.warnings[0]?.line, 3);
  assert.ok(!JSON.stringify(result.warnings).includes('"    private_key: short'));
});

test("TLS files are read, and must fit", () => {
  const [first, second] = certificates;
  const cert = file("cert.pem", first.cert as string);
  const key = file("key.pem", first.key as string);
  const other = file("other.pem", second.key as string);
  const junk = file("junk.pem", "junk");
  const https = (c: string, k: string) =>
    `chihaya:\n  http:\n    https_addr: ":443"\n    tls_cert_path: ${c}\n    tls_key_path: ${k}\n`;

  const alone = good(https(cert, key)).http;
  assert.deepEqual(alone?.tls, { cert: first.cert, key: first.key });
  assert.deepEqual(alone.listen, []);
  assert.equal(good(`${https(cert, key)}    addr: ":80"\n`).http?.listen.length, 2);

  const at = (path: string) => path.replace(`${directory}/`, "");
  const errors = (c: string, k: string) =>
    errorsOf(https(c, k)).map((error) => error.replaceAll(`${directory}/`, "").replace(/: error:.*/, ""));
  assert.deepEqual(errors("/nonexistent", other), [
    "4:20 http.tls_cert_path: cannot read /nonexistent: no such file",
  ]);
  assert.deepEqual(errors(junk, junk), [
    `4:20 http.tls_cert_path: ${at(junk)} is not a certificate in PEM`,
    `5:19 http.tls_key_path: ${at(junk)} is not a private key in PEM`,
  ]);
  assert.deepEqual(errors(cert, other), [
    `5:19 http.tls_key_path: ${at(other)} does not belong to the certificate ${at(cert)}`,
  ]);
  assert.deepEqual(errorsOf("chihaya: {http: {https_addr: ':443'}}"), [
    "1:30 http.https_addr: must specify tls_cert_path and tls_key_path when using https_addr",
  ]);
  assert.deepEqual(errorsOf(`chihaya: {http: {tls_key_path: ${key}}}`), [
    "1:32 http.tls_key_path: must specify https_addr when using tls_cert_path and tls_key_path",
  ]);
  assert.deepEqual(errorsOf("chihaya: {http: {addr: ''}}"), [
    "1:24 http.addr: must specify addr or https_addr or both; remove the block to turn HTTP off",
  ]);
});

test("files of hooks are looked for, and the path that was tried is named", () => {
  const hook = (name: string, options: string) =>
    `chihaya: {udp: {}, prehooks: [{name: ${name}, options: {${options}}}]}`;
  const asn = (path: string) => hook("locality", `levels: [{asn: "${path}"}]`);
  assert.deepEqual(errorsOf(asn("missing.mmdb")), [
    `1:73 prehooks[0].options.levels[0].asn: cannot read ${process.cwd()}/missing.mmdb: no such file`,
  ]);
  assert.deepEqual(errorsOf(asn(file("there.mmdb", "a"))), []);
  assert.deepEqual(errorsOf(asn("${NOPE}.mmdb")), [
    "1:73 prehooks[0].options.levels[0].asn: the variable NOPE is not set; set it, or give a default: ${NOPE:-default}",
  ]);

  const jwt = (content: string) =>
    errorsOf(hook("jwt", `issuer: i, audience: a, jwk_set_file: "${file("keys.json", content)}"`)).map(
      (error) => error.replaceAll(`${directory}/`, "").replace(/;.*/, ""),
    );
  const at = "1:91 prehooks[0].options.jwk_set_file: keys.json";
  assert.deepEqual(jwt("{"), [`${at} is not JSON`]);
  assert.deepEqual(jwt("[]"), [`${at} is not a JSON Web Key Set: the list "keys" is missing`]);
  assert.deepEqual(jwt('{"keys": []}'), [`${at} holds no key`]);
  assert.deepEqual(jwt('{"keys": [{"kid": "1"}]}'), []);

  const list = hook("torrent approval", "whitelist_from: [missing.txt, http://lists.example.com/x]");
  assert.deepEqual(errorsOf(list), []);
  assert.deepEqual(warningsOf(list), [
    `1:83 prehooks[0].options.whitelist_from[0]: cannot read ${process.cwd()}/missing.txt: no such file; ` +
      "a tracker that starts without it refuses all requests (on_failure)",
  ]);
  const missing = loadConfig({ file: "missing.yaml", env: {} });
  assert.deepEqual(missing.ok || brief(missing.errors), [
    `missing.yaml : cannot read ${process.cwd()}/missing.yaml: no such file`,
  ]);
});

test("a hook has a name or a module", () => {
  const hook = (keys: string) => errorsOf(`chihaya: {udp: {}, prehooks: [{${keys}}]}`);
  const both =
    "prehooks[0].module: give name or module, not both: name for a built-in hook, module for your own";
  assert.deepEqual(hook("name: x, module: y"), [`1:49 ${both}`]);
  assert.deepEqual(hook("name: torrent approval, module: y"), [`1:64 ${both}`]);
});

test("a UDP frontend has an address", () => {
  const wrong = "1:23 udp.addr: must specify addr; remove the block to turn UDP off";
  for (const none of ["''", "[] "]) assert.deepEqual(errorsOf(`chihaya: {udp: {addr: ${none}}}`), [wrong]);
});

test("the default of min_announce_interval gives way to a short announce_interval", () => {
  assert.deepEqual(errorsOf("chihaya: {udp: {}, announce_interval: 5m}"), []);
});

test("a client may announce at any time with min_announce_interval 0", () => {
  for (const zero of ["0", "0s", '"0s"']) {
    assert.equal(good(`chihaya:\n  min_announce_interval: ${zero}\n  http: {}\n`).minAnnounceInterval, 0);
  }
});

test("values are checked against each other", () => {
  const errors: [yaml: string, error: string][] = [
    [
      "chihaya: {udp: {}, announce_interval: 5m, min_announce_interval: 6m}",
      "1:66 min_announce_interval: must not be longer than announce_interval",
    ],
    [
      "chihaya: {http: {announce_routes: []}}",
      '1:35 http.announce_routes: must specify routes, as "/announce"',
    ],
    [
      "chihaya: {http: {scrape_routes: /announce}}",
      '1:33 http.scrape_routes: scrape route "/announce" has the same paths as the announce route "/announce"',
    ],
    [
      "chihaya: {http: {addr: 127.0.0.1:80}, metrics_addr: 127.0.0.1:80}",
      "1:53 metrics_addr: http.addr already uses 127.0.0.1 port 80",
    ],
  ];
  for (const [yaml, error] of errors) assert.deepEqual(errorsOf(yaml), [error]);
  const hook = (name: string, options: string) =>
    errorsOf(`chihaya: {udp: {}, prehooks: [{name: ${name}, options: {${options}}}]}`).map((text) =>
      text.replace(/^[\d:]+ prehooks\[0\]\.options\./, ""),
    );
  assert.deepEqual(hook("interval control", "shortest: 5m, longest: 4m, few_peers: 9, many_peers: 9"), [
    "longest: must not be below shortest",
    "many_peers: must be above few_peers",
  ]);
  assert.deepEqual(hook("rate limit", "rate: 5, burst: 4"), ["burst: must not be below rate"]);
  assert.deepEqual(hook("rate limit", "rate: 0, burst: 4, exempt: 10.0.0.1/8"), [
    'rate: expected a number above 0, got "0"',
    'exempt: "10.0.0.1/8" has bits beyond its prefix; write 10.0.0.0/8',
  ]);

  const warnings: [yaml: string, warning: string | undefined][] = [
    [
      "chihaya: {udp: {}, announce_interval: 31m}",
      "1:10 storage.config.peer_lifetime: peers announce every 1860 s (announce_interval) but expire after 1860 s; set a longer peer_lifetime",
    ],
    ["chihaya: {udp: {}, announce_interval: 1859s}", undefined],
    [
      "chihaya: {udp: {}, prehooks: [{name: interval control, options: {shortest: 5m, longest: 30m, jitter: 60s}}]}",
      "1:10 storage.config.peer_lifetime: peers announce every 1860 s (longest and jitter of interval control) but expire after 1860 s; set a longer peer_lifetime",
    ],
    [
      "chihaya: {udp: {}, announce_interval: 40m, prehooks: [{name: interval control, options: {shortest: 5m, longest: 30m}}]}",
      undefined,
    ],
    [
      "chihaya: {http: {max_numwant: 10, default_numwant: 11}}",
      "1:52 http.default_numwant: above max_numwant; 10 is used",
    ],
    [
      "chihaya: {udp: {ip_spoofing_from: 10.0.0.0/8}}",
      "1:35 udp.ip_spoofing_from: has no effect without allow_ip_spoofing: true",
    ],
    ["chihaya: {udp: {ip_spoofing_from: 10.0.0.0/8, allow_ip_spoofing: true}}", undefined],
    [
      "chihaya: {http: {proxy_protocol: true}}",
      "1:34 http.proxy_protocol: has no effect without trusted_proxies; list the addresses of your proxies there",
    ],
    ["chihaya: {http: {proxy_protocol: true, trusted_proxies: 10.0.0.1}}", undefined],
    [
      "chihaya: {http: {trusted_proxies: 10.0.0.1}}",
      "1:35 http.trusted_proxies: has no effect without real_ip_header or proxy_protocol",
    ],
    [
      "chihaya: {udp: {}, profiling: true, metrics_addr: ''}",
      "1:31 profiling: has no effect without metrics_addr",
    ],
    [
      "chihaya: {udp: {}, profiling: true, metrics_addr: '0.0.0.0:6880'}",
      "1:31 profiling: every client that reaches 0.0.0.0 can read the memory of the process, with its keys; set metrics_addr to 127.0.0.1",
    ],
    [
      "chihaya: {udp: {}, posthooks: [{name: client approval}]}",
      '1:39 posthooks[0].name: "client approval" has an effect only among the prehooks',
    ],
  ];
  for (const [yaml, warning] of warnings) {
    assert.deepEqual(warningsOf(yaml), warning === undefined ? [] : [warning]);
  }
  assert.equal(good("chihaya: {http: {max_numwant: 10, default_numwant: 11}}").http?.defaultNumWant, 10);
});

test("a removed key is taken, whatever its value, with a warning that says what happens now", () => {
  const removed: [yaml: string, warning: string][] = [
    [
      "chihaya: {udp: {max_connection_id_errors: 5}}",
      "udp.max_connection_id_errors: has no effect any more: each worker sends an address at most 32 `bad connection ID` errors per second; remove the key",
    ],
    [
      "chihaya: {udp: {}, storage: {name: redis, config: {sample_cache: [x]}}}",
      "storage.config.sample_cache: has no effect any more: Redis selects the peers of every announce; remove the key",
    ],
    [
      "chihaya: {udp: {}, prehooks: [{name: interval control, options: {shortest: 5m, longest: 10m, jitter_by: swarm}}]}",
      "prehooks[0].options.jitter_by: has no effect any more: all of `jitter` is used for swarms of every size; remove the key",
    ],
    [
      "chihaya: {udp: {}, prehooks: [{name: jwt, options: {issuer: i, audience: a, jwk_set_url: 'http://h/', jwk_set_timeout: 1s}}]}",
      "prehooks[0].options.jwk_set_timeout: has no effect any more: a fetch of the keys may take 5 seconds; remove the key",
    ],
  ];
  for (const [yaml, warning] of removed) {
    const key = /(\w+): has/.exec(warning)![1]!;
    const column = yaml.indexOf(`${key}: `) + key.length + 3;
    assert.deepEqual(warningsOf(yaml), [`1:${column} ${warning}`]);
  }
  const env = { CHIHAYA_UDP__MAX_CONNECTION_ID_ERRORS: "5" };
  assert.match(
    warningsOf("chihaya: {udp: {}}", { env })[0]!,
    /max_connection_id_errors: has no effect any more/,
  );
});

test("the store redis", () => {
  const redis = (config: string) => `chihaya: {udp: {}, storage: {name: redis, config: {${config}}}}`;
  const brokerOf = (config: string) => {
    const { storage } = good(redis(config));
    return storage.name === "redis" ? (storage.config as RedisStoreConfig).broker : [];
  };
  // Chihaya's own, with its password where others have the user.
  const chihayas =
    "redis_broker: 'redis://secret@127.0.0.1:6379/0', redis_read_timeout: 15s, redis_write_timeout: 15s, " +
    "redis_connect_timeout: 15s, gc_interval: 3m, peer_lifetime: 31m, prometheus_reporting_interval: 1s";
  assert.deepEqual(brokerOf(chihayas), ["redis://secret@127.0.0.1:6379/0"]);
  assert.deepEqual(warningsOf(redis(chihayas)), []);
  assert.deepEqual(
    brokerOf(`redis_broker_file: ${JSON.stringify(file("broker", "rediss://me:p%40ss@h:1/2\n"))}`),
    ["rediss://me:p%40ss@h:1/2"],
  );
  assert.deepEqual(brokerOf("redis_broker: 'redis://a,redis://b:1', redis_topology: sentinel"), [
    "redis://a",
    "redis://b:1",
  ]);
  const set = loadConfig({
    env: { CHIHAYA_STORAGE__NAME: "redis", CHIHAYA_STORAGE__CONFIG__REDIS_BROKER: "redis://e" },
    set: ["storage.config.on_failure=serve"],
  });
  assert.ok(set.ok && set.config.storage.name === "redis");
  const { broker, onFailure } = set.config.storage.config as RedisStoreConfig;
  assert.deepEqual([broker, onFailure], [["redis://e"], "serve"]);

  const example = "redis://user:password@127.0.0.1:6379/0";
  const errors: [config: string, error: string][] = [
    [
      "redis_broker: 'http://u:hunter2@h'",
      `redis_broker: expected a URL such as ${example}, or with rediss:// for TLS`,
    ],
    ["redis_broker: 'redis://u:hunter2@h:x'", `redis_broker: not a URL; expected one such as ${example}`],
    ["redis_broker: 'redis://u:hunter2@:1'", `redis_broker: names no host; an example is ${example}`],
    [
      "redis_broker: 'redis://u:hunter2@h/x'",
      `redis_broker: after the host comes only the number of the database, as in ${example}`,
    ],
    ["redis_broker: ''", "redis_broker: must name a Redis server, such as redis://127.0.0.1:6379/0"],
    [
      "redis_broker: 'redis://a,redis://b'",
      'redis_broker: several servers need redis_topology "sentinel" or "cluster"',
    ],
    [
      "redis_topology: cluster, redis_broker: 'redis://u:hunter2@a,redis://u:hunter3@b'",
      "redis_broker: all servers must have the same user, password, database and TLS setting",
    ],
    ["redis_topology: cluster, redis_broker: 'redis://a/1'", "redis_broker: a cluster has only database 0"],
    ["redis_broker: 'rediss://a', redis_ca_path: /none", "redis_ca_path: cannot read /none: no such file"],
    ["max_peers: 5", "max_peers: unknown key; it belongs to another store (storage.name)"],
    ["redis_brokr: 'redis://a'", 'redis_brokr: unknown key; did you mean "redis_broker"?'],
  ];
  for (const [config, error] of errors) {
    assert.deepEqual(
      errorsOf(redis(config)).map((text) => text.replace(/^[\d:]+ storage\.config\./, "")),
      [error],
    );
  }
  assert.deepEqual(errorsOf("chihaya: {udp: {}, storage: {config: {on_failure: serve}}}"), [
    "1:39 storage.config.on_failure: unknown key; it belongs to another store (storage.name)",
  ]);
  assert.deepEqual(warningsOf(redis("peer_lifetime: 30m, redis_read_timeout: 0")), [
    "1:67 storage.config.peer_lifetime: peers announce every 1800 s (announce_interval) but expire after 1800 s; set a longer peer_lifetime",
    "1:92 storage.config.redis_read_timeout: 0 means the default, as in Chihaya; remove the key",
  ]);
  // A password is not shown with the line that it stands on, whichever that is.
  const path = file(
    "secret.yaml",
    "chihaya:\n  udp:\n  storage:\n    name: redis\n    config:\n      redis_broker:\n        - redis://u:hunter2@h/x\n",
  );
  const refused = loadConfig({ file: path, env: {} });
  assert.ok(!refused.ok);
  assert.doesNotMatch(formatDiagnostics(refused.errors), /hunter2/);
});

test("a mistake in one value does not hide those in others, and invents none", () => {
  assert.deepEqual(
    errorsOf("chihaya: {announce_interval: 5, http: {addr: ''}, storage: {name: reddis, config: {x: y}}}"),
    [
      '1:30 announce_interval: expected a duration such as "30m", "1h30m" or "15s", got "5"; for seconds write "5s"',
      "1:46 http.addr: must specify addr or https_addr or both; remove the block to turn HTTP off",
      '1:67 storage.name: unknown store "reddis"; did you mean "redis"?',
    ],
  );
});

test("requests wait for others for at most 10 ms", () => {
  for (const [written, seconds] of [
    ["0", 0],
    ["500us", 0.0005],
    ["10ms", 0.01],
  ] as const) {
    assert.equal(good(`chihaya: {udp: {}, network_coalesce: ${written}}`).networkCoalesce, seconds);
  }
  assert.equal(good("chihaya: {udp: {}}").networkCoalesce, 0.001);
  assert.deepEqual(errorsOf("chihaya: {udp: {}, network_coalesce: 11ms}"), [
    '1:38 network_coalesce: must be at most 10ms, got "11ms"',
  ]);
});

test("the path of the file takes variables", () => {
  const path = file("named.yaml", "chihaya: {udp: {}}");
  for (const written of ["$DIR/named.yaml", "${DIR}/$NOTHING/named.yaml"]) {
    assert.equal(loadConfig({ file: written, env: { DIR: directory } }).ok, true, path);
  }
});
