import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { certificates } from "../../test/fixtures/certificates.ts";
import { type LoadOptions, loadConfigAndModules } from "./load.ts";
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
    assert.deepEqual(
      await loadConfigInChildProcess(options),
      structuredClone(await loadConfigAndModules(options)),
    );
    assert.equal(loadedHere, 0);
  });
}

for (const [what, code, message, deadlineMs] of [
  [
    "ends the process",
    "process.exit(3)",
    /^the process that loaded it ended early \(exit code 3\); a module/,
  ],
  [
    "kills the process",
    "process.kill(process.pid, 'SIGKILL')",
    /^the process that loaded it ended early \(SIGKILL\)/,
  ],
  [
    "never comes to an end",
    "for (;;);",
    /^not loaded within 0\.01 s; the import of a module \(of a hook, a store or a frontend\) must not/,
    10,
  ],
  [
    "waits for what never comes",
    "await new Promise(() => {})",
    /^the import of a module never finishes: its top-level await waits for ever/,
  ],
] as const) {
  test(`the module of a hook that ${what} when it is imported is a mistake, and harms nobody`, async () => {
    const loads = loadedHere;
    const module = file("module.mjs", code);
    const path = file("module.yaml", `chihaya: {http: {}, prehooks: [{module: ${module}}]}`);
    const loaded = await loadConfigInChildProcess({ file: path, env: {} }, deadlineMs ? { deadlineMs } : {});
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
    assert.deepEqual(await loadConfigInChildProcess(options), await loadConfigAndModules(options));
  }
  assert.notEqual(loadedHere, 0);
});

test("a module that loops ends with the process that loads it", async () => {
  const module = join(directory, "loops.mjs");
  const pidFile = join(directory, "loops.pid");
  const file = join(directory, "loops.yaml");
  writeFileSync(
    module,
    `import { writeFileSync } from "node:fs";\nwriteFileSync(${JSON.stringify(pidFile)}, \`\${process.pid}\`);\nfor (;;);\n`,
  );
  writeFileSync(file, "chihaya:\n  http: {}\n  prehooks:\n    - module: ./loops.mjs\n");
  const loader = new URL("./load-in-child-process.ts", import.meta.url).href;
  const program = `import { loadConfigInChildProcess } from ${JSON.stringify(loader)};
    import { existsSync } from "node:fs";
    void loadConfigInChildProcess({ file: ${JSON.stringify(file)}, env: process.env });
    setInterval(() => existsSync(${JSON.stringify(pidFile)}) && process.exit(0), 10);`;
  const main = join(directory, "loader.mjs");
  writeFileSync(main, program);
  const parent = spawn(process.execPath, [main], { stdio: "ignore" });
  assert.deepEqual(await once(parent, "exit"), [0, null]);
  const pid = Number(readFileSync(pidFile, "utf8"));
  while (isRunning(pid)) await setImmediate();
});

/** Whether a process runs; one that has ended and is not yet collected does not. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
