import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { temporaryDirectory } from "../../../test/support/daemon.ts";
import { createIssuerKey } from "../../../test/support/jwt-issuer.ts";
import { check } from "./check-config.ts";

const directory = "test/fixtures/config/broken";

function chihaya(...args: string[]) {
  return run(process.execPath, "src/cli/main.ts", ...args);
}

function run(program: string, ...args: string[]) {
  const env = { PATH: process.env.PATH };
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", env });
  return { status, stdout, stderr };
}

/** Fits any limit of open files. */
const few = ["--set", "http.max_connections=10"];

test("broken files are refused with all that is wrong with them", async () => {
  const files = globSync(`${directory}/*.yaml`).sort();
  assert.equal(files.length, 11);
  for (const file of files) {
    const { output, code } = await check({ file, env: {} }, false);
    const shown = output.replaceAll(`${process.cwd()}/`, "").replaceAll(`${directory}/`, "");
    assert.equal(shown, readFileSync(file.replace(/yaml$/, "txt"), "utf8"));
    assert.equal(code, 78);
  }
});

test("check-config --json is for programs", () => {
  const file = `${directory}/duplicate-keys.yaml`;
  const { status, stdout } = chihaya("check-config", file, "--json");
  assert.equal(status, 78);
  const { ok, errors, warnings } = JSON.parse(stdout);
  assert.deepEqual([ok, errors.length, warnings], [false, 2, []]);
  assert.deepEqual(
    [errors[0].source, errors[0].line, errors[0].column, errors[0].path],
    [file, 4, 3, "http"],
  );
});

test("check-config accepts what can be used, and config prints it", () => {
  const file = "test/fixtures/config/chihaya/example_config.yaml";
  const checked = chihaya("check-config", "--config", file, "--set", "http.real_ip_header=", ...few);
  assert.equal(checked.status, 0);
  assert.match(checked.stdout, /example_config\.yaml: ok \(2 warnings\)\n$/);
  const printed = chihaya("config", "--config", file);
  assert.equal(printed.status, 0);
  assert.match(printed.stdout, /^chihaya:\n {2}announce_interval: "30m"\n/);
  assert.match(printed.stderr, /^test\S*:28:18: warning: udp\.private_key: /m);
  assert.equal(chihaya("config", "--config", "/nonexistent").status, 78);
  assert.equal(chihaya("config", "--default").stdout, readFileSync("chihaya.example.yaml", "utf8"));
  assert.equal(chihaya("check-config", "a", "b").status, 2);
});

const hook = `export default { name: "some", create: () => ({ handleAnnounce() {} }) };`;
for (const [what, code, status, says] of [
  [
    "ends the process",
    "process.exit(0);",
    78,
    /ended early \(exit code 0\); a module must not end the process/,
  ],
  [
    "waits for ever",
    "await new Promise(() => {});",
    78,
    /: the import of a module never finishes: its top-level await waits for ever\n/,
  ],
  ["has a timer that goes on", `setInterval(() => {}, 1000); ${hook}`, 0, /: ok\n$/],
  ["writes", `console.log("hello"); ${hook}`, 0, /: ok\n$/],
] as const) {
  test(`check-config responds if the module of a hook ${what} when it is imported`, (t) => {
    const directory = temporaryDirectory(t);
    const module = join(directory, "module.mjs");
    writeFileSync(module, code);
    const file = join(directory, "chihaya.yaml");
    writeFileSync(file, `chihaya: {http: {max_connections: 10}, prehooks: [{module: ${module}}]}`);
    for (const checked of [
      chihaya("check-config", file),
      run("sh", "-c", `cat ${file} | ${process.execPath} src/cli/main.ts check-config /dev/stdin`),
    ]) {
      assert.equal(checked.status, status);
      assert.match(checked.stdout, says);
      if (what === "writes") assert.equal(checked.stderr, "hello\n");
    }
    assert.equal(JSON.parse(chihaya("check-config", file, "--json").stdout).ok, status === 0);
  });
}

test("check-config warns of few descriptors, and of metrics and an admin API on a public address", (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "chihaya.yaml");
  writeFileSync(
    file,
    "chihaya: {workers: 1, metrics_addr: '203.0.113.1:6880', admin: {}, http: {}, udp: {}}\n",
  );
  const limited = run(
    "sh",
    "-c",
    `ulimit -n 200 && exec ${process.execPath} src/cli/main.ts check-config ${file}`,
  );
  assert.equal(limited.status, 0, limited.stderr);
  const warnings = limited.stdout.split("\n").filter((line) => line.includes(": warning: "));
  for (const expected of [
    /http\.max_connections: .*the limit of 200 open files leaves room for 100; raise it/,
    /metrics_addr: every client that reaches 203\.0\.113\.1 can read the metrics, because they need no token/,
    /admin: off on metrics_addr 203\.0\.113\.1/,
  ])
    assert.ok(
      warnings.some((line) => expected.test(line)),
      limited.stdout,
    );
  assert.equal(warnings.length, 3);
  for (const addr of ["127.0.0.1:6880", "10.0.0.1:6880", "[::1]:6880", "''"]) {
    writeFileSync(
      file,
      `chihaya: {metrics_addr: "${addr.replaceAll("'", "")}", http: {max_connections: 10}}\n`,
    );
    assert.equal(chihaya("check-config", file).stdout, `${file}: ok\n`);
  }
});

test("check-config --connect tries each list, key set, file and server, and prints each", async (t) => {
  const directory = temporaryDirectory(t);
  const { jwk } = await createIssuerKey("a", "ES256");
  const server = createServer((request, response) => {
    const path = request.url!.replace(/\?.*/, "");
    if (path === "/list") response.end(`${"a".repeat(40)}\n${"b".repeat(40)}\n`);
    else if (path === "/wrong") response.end("# list\nnonsense\n");
    else if (path === "/keys") response.end(JSON.stringify({ keys: [jwk] }));
    else response.writeHead(404).end();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const listFile = join(directory, "list");
  writeFileSync(listFile, `${"c".repeat(40)}\n`);
  const [module, faulty] = [join(directory, "own.mjs"), join(directory, "faulty.mjs")];
  writeFileSync(
    module,
    `export default { name: "own", create: () => ({}), probes: () => [{ name: "mine", run: async () => "fine" }] };`,
  );
  writeFileSync(
    faulty,
    `export default { name: "own", create: () => ({}),
       probes: () => [{ name: "mine", run: async () => { throw new Error("broken"); } }] };`,
  );
  const jwt = (path: string) => ({
    name: "jwt",
    options: { issuer: "i", audience: "a", jwk_set_url: `${url}${path}?key=secret`, algorithms: ["ES256"] },
  });
  const lists = (...whitelist_from: string[]) => ({ name: "torrent approval", options: { whitelist_from } });
  const file = join(directory, "chihaya.yaml");
  const connect = async (prehooks: object[], more: object = {}, ...flags: string[]) => {
    writeFileSync(file, JSON.stringify({ chihaya: { http: { max_connections: 10 }, prehooks, ...more } }));
    const child = spawn(process.execPath, ["src/cli/main.ts", "check-config", file, "--connect", ...flags], {
      env: { PATH: process.env.PATH },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [[code], output] = await Promise.all([once(child, "close"), text(child.stdout)]);
    return { code, output };
  };
  assert.deepEqual(await connect([lists(`${url}/list?secret`, listFile), jwt("/keys"), { module }]), {
    code: 0,
    output: `${file}: ok
ok      prehooks[0]: ${url}/list: 2 entries
ok      prehooks[0]: ${listFile}: 1 entry
ok      prehooks[1]: ${url}/keys: 1 key
ok      prehooks[2]: mine: fine
`,
  });
  const free = await connect([]);
  assert.deepEqual(free, { code: 0, output: `${file}: ok\nnothing to connect to\n` });

  const storage = { name: "redis", config: { redis_broker: "redis://:password@127.0.0.1:1/0" } };
  const broken = await connect([lists(`${url}/none`, `${url}/wrong`), jwt("/list"), { module: faulty }], {
    storage,
  });
  assert.equal(broken.code, 1);
  const [, redis, ...others] = broken.output.trimEnd().split("\n");
  assert.match(redis!, /^failed {2}storage: redis:\/\/.*127\.0\.0\.1:1.*: .*ECONNREFUSED/);
  assert.deepEqual(others, [
    `failed  prehooks[0]: ${url}/none: status 404`,
    `failed  prehooks[0]: ${url}/wrong: line 2: not an infohash: 8 characters; expected 40 hexadecimal digits, or a comment after #`,
    `failed  prehooks[1]: ${url}/list: not JSON`,
    "failed  prehooks[2]: mine: broken",
  ]);
  assert.doesNotMatch(broken.output, /secret|password/);
  const json = JSON.parse((await connect([lists(`${url}/none`)], {}, "--json")).output);
  assert.deepEqual(json.connections, [
    { path: "prehooks[0]", name: `${url}/none`, ok: false, detail: "status 404" },
  ]);
  const invalid = await connect([{ name: "nonsense" }]);
  assert.equal(invalid.code, 78);
  assert.doesNotMatch(invalid.output, /^(ok|failed)/m);
});
