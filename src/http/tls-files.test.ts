import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { chainExpiry, readTlsFiles } from "./tls-files.ts";

const directory = mkdtempSync(join(tmpdir(), "chihaya-tls-"));
after(() => rmSync(directory, { recursive: true }));
const path = (name: string): string => join(directory, name);

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { cwd: directory, stdio: "ignore" });
}

const kinds = {
  rsa: ["rsa:2048"],
  "other-rsa": ["rsa:2048"],
  ec: ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  ed25519: ["ed25519"],
};
for (const [kind, newKey] of Object.entries(kinds)) {
  const files = ["-nodes", "-keyout", `${kind}.key`, "-out", `${kind}.pem`, "-subj", `/CN=${kind}.test`];
  openssl("req", "-x509", "-newkey", ...newKey, ...files, "-days", "90");
}
openssl("ecparam", "-name", "prime256v1", "-genkey", "-out", "with-parameters.key"); // EC PARAMETERS, then the key
openssl("req", "-x509", "-key", "with-parameters.key", "-out", "with-parameters.pem", "-subj", "/CN=a.test");
openssl("x509", "-in", "rsa.pem", "-trustout", "-out", "trusted.pem"); // TRUSTED CERTIFICATE
writeFileSync(path("empty"), "");
writeFileSync(path("comment"), "# the certificate comes here\n");
writeFileSync(path("chain.pem"), ["rsa.pem", "ec.pem"].map((name) => readFileSync(path(name))).join("\n"));
writeFileSync(path("reversed.pem"), ["ec.pem", "rsa.pem"].map((name) => readFileSync(path(name))).join("\n"));

for (const [cert, key] of [
  ["rsa.pem", "rsa.key"],
  ["ec.pem", "ec.key"],
  ["ed25519.pem", "ed25519.key"],
  ["with-parameters.pem", "with-parameters.key"],
  ["trusted.pem", "rsa.key"],
  ["chain.pem", "rsa.key"],
] as const) {
  test(`${cert} and ${key} can be used together`, () => {
    const files = readTlsFiles(path(cert), path(key));
    assert.deepEqual(Object.keys(files), ["cert", "key"], JSON.stringify(files));
  });
}

for (const [cert, key, problem, message] of [
  ["rsa.pem", "other-rsa.key", "tls_key_path", /does not belong to the certificate/],
  ["rsa.pem", "ec.key", "tls_key_path", /does not belong to the certificate/],
  ["ec.pem", "rsa.key", "tls_key_path", /does not belong to the certificate/],
  ["ed25519.pem", "rsa.key", "tls_key_path", /does not belong to the certificate/],
  ["reversed.pem", "rsa.key", "tls_key_path", /does not belong to the certificate/],
  ["empty", "rsa.key", "tls_cert_path", /is not a certificate in PEM/],
  ["comment", "rsa.key", "tls_cert_path", /is not a certificate in PEM/],
  ["rsa.key", "rsa.key", "tls_cert_path", /is not a certificate in PEM/],
  ["rsa.pem", "empty", "tls_key_path", /is not a private key in PEM/],
  ["rsa.pem", "comment", "tls_key_path", /is not a private key in PEM/],
  ["rsa.pem", "rsa.pem", "tls_key_path", /is not a private key in PEM/],
] as const) {
  test(`${cert} and ${key} cannot be used together`, () => {
    const problems = readTlsFiles(path(cert), path(key));
    assert.ok(Array.isArray(problems));
    assert.equal(problems.length, 1);
    assert.equal(problems[0]?.key, problem);
    assert.match(problems[0]?.message ?? "", message);
  });
}

openssl("req", "-x509", "-key", "ec.key", "-out", "short.pem", "-subj", "/CN=short.test", "-days", "2");
writeFileSync(
  path("short-chain.pem"),
  ["rsa.pem", "short.pem"].map((name) => readFileSync(path(name))).join("\n"),
);

for (const [file, days] of [
  ["rsa.pem", 90],
  ["trusted.pem", 90],
  ["short.pem", 2],
  ["short-chain.pem", 2],
] as const) {
  test(`${file} expires in ${days} days`, () => {
    const expiry = chainExpiry({ cert: readFileSync(path(file)), key: "" });
    assert.equal(Math.round((expiry - Date.now() / 1000) / 86_400), days);
  });
}
