import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadConfig } from "./load.ts";

const directory = mkdtempSync(join(tmpdir(), "chihaya-admin-"));
after(() => rmSync(directory, { recursive: true }));

function load(admin: string, metricsAddr = "127.0.0.1:6880") {
  const file = join(directory, "chihaya.yaml");
  writeFileSync(file, `chihaya:\n  http: {}\n  metrics_addr: "${metricsAddr}"\n${admin}`);
  return loadConfig({ file, env: {} });
}

const hash = `sha256:${"ab".repeat(32)}`;
const tokens = `    tokens: [{ name: ops, hash: "${hash}" }]\n`;

test("without a file the admin API is on, with one it is where the block says so", () => {
  const isOn = (result: ReturnType<typeof loadConfig>) => result.ok && result.config.admin !== undefined;
  assert.equal(isOn(loadConfig({ env: {} })), true);
  assert.equal(isOn(load("")), false);
  for (const block of ["  admin: {}\n", "  admin:\n", "  admin:\n    # addr: x\n"])
    assert.equal(isOn(load(block)), true);
});

for (const [what, admin, metricsAddr, errors, warnings] of [
  ["tokens", `  admin:\n${tokens}`, "127.0.0.1:6880", [], []],
  ["IPv6 loopback", `  admin: {}\n`, "[::1]:6880", [], []],
  [
    "metrics for the network, and no token",
    "  admin: {}\n",
    "0.0.0.0:6880",
    [],
    [
      /^admin: off on metrics_addr 0\.0\.0\.0, which .*give tokens and behind_proxy: true, or an addr of its own/,
    ],
  ],
  [
    "the same without TLS",
    `  admin:\n${tokens}`,
    "10.0.0.5:6880",
    [],
    [/^admin: off on metrics_addr 10\.0\.0\.5/],
  ],
  ["the same behind a proxy", `  admin:\n    behind_proxy: true\n${tokens}`, "0.0.0.0:6880", [], []],
  ["no listener at all, and nothing to serve", "  admin: {}\n", "", [], []],
  [
    "no listener at all",
    `  admin:\n${tokens}`,
    "",
    [],
    [/^admin\.tokens: have no effect without addr or metrics_addr/],
  ],
  ["its own address", "  admin:\n    addr: 127.0.0.1:6881\n", "0.0.0.0:6880", [], []],
  [
    "its own address for the network, without anything",
    '  admin:\n    addr: ":6881"\n',
    "127.0.0.1:6880",
    [
      /^admin\.addr: 0\.0\.0\.0 is not of this machine alone and lacks a token and TLS; give/,
      /^admin\.addr: ::/,
    ],
    [],
  ],
  [
    "its own address for the network, without TLS",
    `  admin:\n    addr: 10.0.0.5:6881\n${tokens}`,
    "127.0.0.1:6880",
    [/^admin\.addr: 10\.0\.0\.5 is not of this machine alone and lacks TLS; give/],
    [],
  ],
  [
    "an address that is taken",
    "  admin:\n    addr: 127.0.0.1:6880\n",
    "127.0.0.1:6880",
    [/^admin\.addr: metrics_addr already uses 127\.0\.0\.1 port 6880/],
    [],
  ],
  [
    "a certificate without a key",
    `  admin:\n    addr: 127.0.0.1:6881\n    tls_cert_path: x.pem\n`,
    "127.0.0.1:6880",
    [/^admin\.tls_cert_path: needs tls_key_path too/],
    [],
  ],
  [
    "TLS files that are not there",
    `  admin:\n    addr: 127.0.0.1:6881\n    tls_cert_path: /none/x.pem\n    tls_key_path: /none/x.key\n`,
    "127.0.0.1:6880",
    [/^admin\.tls_cert_path: cannot read \/none\/x\.pem/, /^admin\.tls_key_path: cannot read \/none\/x\.key/],
    [],
  ],
  [
    "the token itself in the place of its hash",
    "  admin:\n    tokens: [{ name: ops, hash: secret }]\n",
    "127.0.0.1:6880",
    [/^admin\.tokens\[0\]\.hash: expected "sha256:" and 64 .*chihaya admin token/],
    [],
  ],
  [
    "a scope that is not there",
    `  admin:\n    tokens: [{ name: ops, hash: "${hash}", scopes: [delete] }]\n`,
    "127.0.0.1:6880",
    [/^admin\.tokens\[0\]\.scopes(\[0\])?: expected one of read, peers:read, write, admin, got "delete"/],
    [],
  ],
  [
    "the hash of an empty token",
    `  admin:\n    tokens: [{ name: ops, hash: "sha256:${createHash("sha256").digest("hex")}" }]\n`,
    "127.0.0.1:6880",
    [/^admin\.tokens\[0\]\.hash: is the hash of an empty token; make a token with "chihaya admin token"/],
    [],
  ],
  [
    "one file for the state and the socket",
    `  admin:\n    state: ${directory}/x/../admin\n    socket: ${directory}/admin\n`,
    "127.0.0.1:6880",
    [/^admin\.state: .*\/admin is the unix socket \(admin\.socket\); give the state a file of its own/],
    [],
  ],
  [
    "two tokens of one name",
    `  admin:\n    tokens: [{ name: ops, hash: "${hash}" }, { name: ops, hash: "${hash}" }]\n`,
    "127.0.0.1:6880",
    [
      /^admin\.tokens\[1\]\.name: another token is named "ops"/,
      /^admin\.tokens\[1\]\.hash: is the hash of the token "ops" too; make another token/,
    ],
    [],
  ],
  [
    "a host with a scheme",
    '  admin:\n    hosts: ["http://x"]\n',
    "127.0.0.1:6880",
    [/^admin\.hosts(\[0\])?: expected a name or an address without scheme and port/],
    [],
  ],
] as const) {
  test(`admin: ${what}`, () => {
    const result = load(admin, metricsAddr);
    const texts = (list: readonly { path: string; message: string }[]) =>
      list.filter(({ path }) => path.startsWith("admin")).map(({ path, message }) => `${path}: ${message}`);
    const found = texts(result.ok ? [] : result.errors);
    assert.equal(found.length, errors.length, found.join("\n"));
    for (const [i, pattern] of errors.entries()) assert.match(found[i]!, pattern);
    const warned = texts(result.warnings);
    assert.equal(warned.length, warnings.length, warned.join("\n"));
    for (const [i, pattern] of warnings.entries()) assert.match(warned[i]!, pattern);
  });
}
