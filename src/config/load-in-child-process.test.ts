import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { certificates } from "../../test/fixtures/certificates.ts";
import { type LoadOptions, loadConfig } from "./load.ts";
import { loadConfigInChildProcess } from "./load-in-child-process.ts";

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
    if (specifier === "./load.ts" && context.parentURL?.endsWith("/load-in-child-process.ts")) loadedHere++;
    return next(specifier, context);
  },
});
after(() => hooks.deregister());

for (const [what, options] of cases) {
  test(`a process of its own loads what this one would: ${what}`, async () => {
    assert.deepEqual(await loadConfigInChildProcess(options), structuredClone(loadConfig(options)));
    assert.equal(loadedHere, 0);
  });
}

for (const [what, code, message, deadlineMs] of [
  [
    "ends the process",
    "process.exit(3)",
    /^the process that loaded it ended early \(exit code 3\); the module/,
  ],
  [
    "kills the process",
    "process.kill(process.pid, 'SIGKILL')",
    /^the process that loaded it ended early \(SIGKILL\)/,
  ],
  ["never comes to an end", "for (;;);", /^not loaded within 0\.01 s; what the module of a hook does/, 10],
  ["waits for what never comes", "await new Promise(() => {})", /ended early \(exit code 13\)/],
] as const) {
  test(`the module of a hook that ${what} when it is imported is a mistake, and harms nobody`, async () => {
    const loads = loadedHere;
    const module = file("module.mjs", code);
    const path = file("module.yaml", `chihaya: {http: {}, prehooks: [{module: ${module}}]}`);
    const loaded = await loadConfigInChildProcess({ file: path, env: {} }, deadlineMs);
    assert.ok(!loaded.ok);
    const [error, ...others] = loaded.errors;
    assert.equal(error?.source, path);
    assert.match(error.message, message);
    assert.deepEqual(others, []);
    assert.equal(loadedHere, loads);
  });
}

test("where no process can be started, this one loads it", async (t) => {
  const { execPath } = process;
  t.after(() => {
    process.execPath = execPath;
  });
  process.execPath = join(directory, "no-node");
  for (const [, options] of [...cases, here]) {
    assert.deepEqual(await loadConfigInChildProcess(options), loadConfig(options));
  }
  assert.notEqual(loadedHere, 0);
});
