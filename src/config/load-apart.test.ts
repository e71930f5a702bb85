import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { certificates } from "../../test/fixtures/certificates.ts";
import { type LoadOptions, loadConfig } from "./load.ts";
import { loadConfigApart } from "./load-apart.ts";

const directory = mkdtempSync(join(tmpdir(), "chihaya-config-"));
after(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

const [{ cert, key }] = certificates;
const tls = `{https_addr: ":0", tls_cert_path: ${file("cert.pem", cert)}, tls_key_path: ${file("key.pem", key)}}`;
const cases: [string, LoadOptions][] = [
  ["the defaults", { env: {} }],
  [
    "a file, the environment and flags",
    {
      file: file("good.yaml", `chihaya: {announce_interval: 1h, http: ${tls}, udp: {}}`),
      env: { CHIHAYA_UDP__ADDR: "127.0.0.1:1" },
      set: ["metrics_addr=127.0.0.1:2"],
    },
  ],
  ["a path with a variable", { file: "$PLACE/good.yaml", env: { PLACE: directory } }],
  ["mistakes", { file: file("bad.yaml", "chihaya: {announce_intervall: 1h, http: {addr: 7}}"), env: {} }],
  ["no file", { file: "/nowhere/chihaya.yaml", env: {} }],
];

const here: [string, LoadOptions] = ["a descriptor of this process", { file: "/dev/fd/9999", env: {} }];

let loadedHere = 0;
const hooks = registerHooks({
  resolve(specifier, context, next) {
    if (specifier === "./load.ts" && context.parentURL?.endsWith("/load-apart.ts")) loadedHere++;
    return next(specifier, context);
  },
});
after(() => hooks.deregister());

for (const [what, options] of cases) {
  test(`a process of its own loads what this one would: ${what}`, async () => {
    assert.deepEqual(await loadConfigApart(options), structuredClone(loadConfig(options)));
    assert.equal(loadedHere, 0);
  });
}

test("where no process can be started, this one loads it", async (t) => {
  const { execPath } = process;
  t.after(() => {
    process.execPath = execPath;
  });
  process.execPath = join(directory, "no-node");
  for (const [, options] of [...cases, here]) {
    assert.deepEqual(await loadConfigApart(options), loadConfig(options));
  }
  assert.notEqual(loadedHere, 0);
});
