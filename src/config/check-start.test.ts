import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { certificates } from "../../test/fixtures/certificates.ts";
import { temporaryDirectory, toYaml } from "../../test/support/daemon.ts";
import { loadConfig, loadConfigAndModules } from "./load.ts";

const dayMs = 86_400_000;
/** When the certificates of the tests expire. */
const expiry = Date.parse("2126-10-29T09:31:35Z");

function withCertificate(t: TestContext): string {
  const directory = temporaryDirectory(t);
  const [cert, key, file] = ["cert.pem", "key.pem", "chihaya.yaml"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(cert, certificates[0].cert);
  writeFileSync(key, certificates[0].key);
  writeFileSync(
    file,
    toYaml({ http: { https_addr: "127.0.0.1:0", tls_cert_path: cert, tls_key_path: key } }),
  );
  return file;
}

for (const [now, warning] of [
  [expiry - 15 * dayMs, undefined],
  [expiry - 14 * dayMs, /expires on 2126-10-29, in 14 days; renew it$/],
  [expiry - 1, /expires on 2126-10-29, in 0 days; renew it$/],
  [expiry, /expired on 2126-10-29, and clients refuse it; renew it$/],
  [Date.parse("2020-01-01"), /is valid only from 2026-11-22 on; is the clock right\?$/],
] as const) {
  test(`a certificate at ${new Date(now).toISOString()}: ${warning ?? "nothing to say"}`, (t) => {
    const { ok, warnings } = loadConfig({ file: withCertificate(t), env: {}, now });
    assert.equal(ok, true);
    const said = warnings.filter(({ path }) => path === "http.tls_cert_path").map(({ message }) => message);
    assert.equal(said.length, warning === undefined ? 0 : 1);
    if (warning) assert.match(said[0]!, warning);
  });
}

for (const [what, content] of [
  ["empty", ""],
  ["text", "no database\n".repeat(1000)],
  ["cut", Buffer.concat([Buffer.alloc(4096), Buffer.from("\xab\xcd\xefMaxMind.com", "latin1")])],
] as const) {
  test(`a file that is no MMDB is a mistake in the configuration: ${what}`, async (t) => {
    const directory = temporaryDirectory(t);
    const [database, file] = [join(directory, "asn.mmdb"), join(directory, "chihaya.yaml")];
    writeFileSync(database, content);
    const options = { levels: [{ ipv4: 24 }, { asn: database }] };
    writeFileSync(file, toYaml({ prehooks: [{ name: "locality", options }] }));
    const loaded = await loadConfigAndModules({ file, env: {} });
    assert.ok(!loaded.ok);
    assert.deepEqual(
      loaded.errors.map(({ path }) => path),
      ["prehooks[0].options.levels[1].asn"],
    );
    assert.ok(loaded.errors[0]!.message.startsWith(`${database}: `), loaded.errors[0]!.message);
  });
}
