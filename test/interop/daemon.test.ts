/** The command line as its users run it: start, stop, exit codes. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, globSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { announceQuery, RawClient } from "../fixtures/http-server.ts";
import { Daemon, main, Program, temporaryDirectory, toYaml } from "../support/daemon.ts";
import { listEngines } from "../support/networks.ts";

const { version } = JSON.parse(readFileSync("package.json", "utf8"));
const stopped = { code: 0, signal: null };

const run = (t: TestContext, ...args: string[]) => new Program(t, process.execPath, [main, ...args]);

test("the log tells the order of start and stop, and where everything is served", async (t) => {
  const daemon = await Daemon.start(t);
  await daemon.signal("SIGTERM", "stopped");
  assert.deepEqual(await daemon.ended, stopped);
  assert.deepEqual(
    daemon.lines.map(({ level, msg, url }) => [level, msg, url?.replace(/\d+$/, "PORT")]),
    [
      ["info", "starting chihaya", undefined],
      ["info", "serving metrics and health", "http://127.0.0.1:PORT"],
      ["info", "serving", "http://127.0.0.1:PORT"],
      ["info", "serving", "udp://127.0.0.1:PORT"],
      ["info", "stopping", undefined],
      ["info", "stopped", undefined],
    ],
  );
  assert.partialDeepStrictEqual(daemon.lines[0], { version, config: daemon.file });
  assert.partialDeepStrictEqual(daemon.lines[4], { signal: "SIGTERM", deadline: 10 });
  assert.equal(daemon.stdout, "");
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} lets a request under way finish, and nothing else begin`, async (t) => {
    // The defaults of 5 and 10 s can pass on a busy machine before the request is complete.
    const daemon = await Daemon.start(t, { shutdown_timeout: "1h", http: { read_timeout: "1h" } });
    const underWay = await begin(t, daemon, `GET /announce?${announceQuery()} HTTP/1.1\r\nHost: x\r\n`);
    const idle = new RawClient(t, daemon.port("http"));
    assert.equal((await idle.get(`/announce?${announceQuery()}`)).status, 200);

    await daemon.signal(signal, "stopping");
    assert.equal((await fetch(`${daemon.url("metrics")}/readyz`)).status, 503);
    assert.equal((await fetch(`${daemon.url("metrics")}/livez`)).status, 200);
    assert.equal(await idle.readToEnd(), "");
    assert.equal(await new RawClient(t, daemon.port("http")).readToEnd(), "");

    underWay.send("\r\n");
    const { status, head, body } = await underWay.read();
    assert.equal(status, 200);
    assert.match(body, /^d8:complete/);
    assert.match(head, /\r\nConnection: close/);
    underWay.socket.end();
    assert.deepEqual(await daemon.ended, stopped);
  });
}

test("a request that does not end is given up at the deadline", async (t) => {
  const daemon = await Daemon.start(t, { shutdown_timeout: "1s", http: { read_timeout: "1h" } });
  const hanging = await begin(t, daemon, "GET /ann");
  const before = performance.now();
  await daemon.signal("SIGTERM", "stopping");
  assert.equal(await hanging.readToEnd(), "");
  assert.ok(performance.now() - before > 900);
  assert.deepEqual(await daemon.ended, stopped);
});

test("a second signal stops at once, but not one that the terminal and npm both send", async (t) => {
  const daemon = await Daemon.start(t, { shutdown_timeout: "1h", http: { read_timeout: "1h" } });
  await begin(t, daemon, "GET /ann");
  // Both signals wait for the tracker to go on, so that it takes the second one at once after the first.
  daemon.child.kill("SIGSTOP");
  daemon.child.kill("SIGINT");
  daemon.child.kill("SIGTERM");
  await daemon.signal("SIGCONT", "stopping");
  assert.equal((await fetch(`${daemon.url("metrics")}/livez`)).status, 200);
  const again = setInterval(() => daemon.child.kill("SIGINT"), 20);
  t.after(() => clearInterval(again));
  assert.deepEqual(await daemon.ended, { code: 1, signal: null });
  assert.equal(daemon.lines.at(-1)?.msg, "stopping at once");
});

test("SIGUSR1 never opens Node's inspector, not even before there is a tracker", async (t) => {
  const file = join(temporaryDirectory(t), "chihaya.yaml");
  writeFileSync(file, toYaml({}));
  const program = run(t, "--json", "--config", file);
  await program.until(({ msg }) => msg === "starting chihaya");
  program.child.kill("SIGUSR1");
  await program.until(({ url }) => url?.startsWith("udp:") === true);
  const from = program.lines.length;
  program.child.kill("SIGUSR1");
  await program.until(({ msg }) => msg === "configuration reloaded", from);
  program.child.kill("SIGTERM");
  assert.deepEqual(await program.ended, stopped);
  assert.doesNotMatch(program.stderr, /debugger|inspector/i);
});

for (const taken of ["http", "udp", "metrics"] as const) {
  test(`an address in use (${taken}) fails the start with one line that says so`, async (t) => {
    const first = await Daemon.start(t);
    const address = `127.0.0.1:${first.port(taken)}`;
    const file = join(temporaryDirectory(t), "chihaya.yaml");
    writeFileSync(
      file,
      toYaml(taken === "metrics" ? { metrics_addr: address } : { [taken]: { addr: address } }),
    );
    const program = run(t, "--json", "--config", file);
    assert.deepEqual(await program.ended, { code: 1, signal: null });
    const url = `${taken === "udp" ? "udp" : "http"}://${address}`;
    const remedy = "the address is in use; stop the program that listens there, or choose another port";
    assert.partialDeepStrictEqual(program.lines.at(-1), {
      level: "error",
      msg: `failed to start: cannot listen on ${url}: ${remedy}`,
    });
  });
}

test("a configuration that is wrong is explained on standard error, and nothing is started", async (t) => {
  const file = join(temporaryDirectory(t), "chihaya.yaml");
  writeFileSync(file, "chihaya:\n  announce_intervall: 30m\n  http:\n    addr: nonsense\n");
  const program = run(t, "--config", file);
  assert.deepEqual(await program.ended, { code: 78, signal: null });
  assert.match(program.stderr, new RegExp(`^${file}:2:3: announce_intervall: `, "m"));
  assert.match(program.stderr, new RegExp(`^${file}:4:11: http.addr: `, "m"));
  assert.equal(program.stdout, "");
});

test("a certificate that is missing is a wrong configuration", async (t) => {
  const file = join(temporaryDirectory(t), "chihaya.yaml");
  const http = { https_addr: "127.0.0.1:0", tls_cert_path: "/nowhere/cert.pem", tls_key_path: file };
  writeFileSync(file, toYaml({ http }));
  const program = run(t, "--config", file);
  assert.deepEqual(await program.ended, { code: 78, signal: null });
  assert.match(program.stderr, /http\.tls_cert_path: cannot read \/nowhere\/cert\.pem: no such file/);
});

for (const [args, code, stdout, stderr] of [
  [["--version"], 0, new RegExp(`^${version.replaceAll(".", "\\.")}\n$`), /^$/],
  [["--help"], 0, /^chihaya .*\n\nUsage: chihaya \[COMMAND\]/, /^$/],
  [["-h"], 0, /^chihaya .*\n\nUsage/, /^$/],
  [["help"], 0, /^chihaya .*\n\nUsage/, /^$/],
  [
    ["serve", "--help"],
    0,
    /--config FILE[\s\S]*--set[\s\S]*--debug[\s\S]*--json[\s\S]*--nocolors[\s\S]*SIGUSR1/,
    /^$/,
  ],
  [["check-config", "-h"], 0, /Usage: chihaya check-config/, /^$/],
  [["announce", "--help"], 0, /Usage: chihaya announce/, /^$/],
  [["--nonsense"], 2, /^$/, /^chihaya: Unknown option '--nonsense'/],
  [["--config"], 2, /^$/, /^chihaya: Option '--config <value>' argument missing/],
  [["serve", "chihaya.yaml"], 2, /^$/, /^chihaya: Unexpected argument 'chihaya\.yaml'/],
  [["nonsense"], 2, /^$/, /^chihaya: unknown command "nonsense"; "chihaya --help" lists them\n$/],
  [["constructor"], 2, /^$/, /^chihaya: unknown command "constructor"/],
  [["config", "--nonsense"], 2, /^$/, /^chihaya: Unknown option '--nonsense'/],
  [["scrape"], 2, /^$/, /^chihaya scrape: /],
  [["--log-format", "xml"], 2, /^$/, /^chihaya: --log-format: xml is not one of auto, json, pretty\n$/],
  [["--log-format"], 2, /^$/, /^chihaya: Option '--log-format <value>' argument missing/],
  [["--log-format", "pretty", "--json"], 2, /^$/, /^chihaya: --log-format: excludes --json\n$/],
  [["--config", "/nowhere/chihaya.yaml"], 78, /^$/, /^\/nowhere\/chihaya\.yaml: no such file\n$/],
  [["--set", "http.adr=:6969"], 78, /^$/, /did you mean/],
] as const) {
  test(`chihaya ${args.join(" ")} exits with ${code}`, async (t) => {
    const program = run(t, ...args);
    assert.deepEqual(await program.ended, { code, signal: null });
    assert.match(program.stdout, stdout);
    assert.match(program.stderr, stderr);
  });
}

test("the log is JSON where no terminal reads it, text on demand, and says more with --debug", async (t) => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  const flags = [
    "--set",
    "metrics_addr=",
    "--set",
    `http.addr=127.0.0.1:${port}`,
    "--set",
    "udp.addr=127.0.0.1:0",
    "--set",
    "http.max_connections=100",
  ];
  const auto = run(t, ...flags);
  assert.deepEqual(await auto.ended, { code: 1, signal: null });
  assert.deepEqual([auto.lines[0]!.msg, auto.lines.at(-1)!.level], ["starting chihaya", "error"]);
  assert.equal(auto.stderr.trimEnd().split("\n").length, auto.lines.length, "nothing but JSON");
  const quiet = run(t, ...flags, "--log-format", "pretty");
  assert.deepEqual(await quiet.ended, { code: 1, signal: null });
  assert.match(
    quiet.stderr,
    /^\[.*\] INFO: starting chihaya .*\n(?:\[.*\] WARN: .*\n)?\[.*\] ERROR: failed to start: .*in use.*\n$/,
  );
  assert.match(quiet.stderr, /"config":"built-in defaults"/);
  const loud = run(t, ...flags, "--debug", "--nocolors", "--log-format=pretty");
  assert.deepEqual(await loud.ended, { code: 1, signal: null });
  assert.match(loud.stderr, /DEBUG: failed to start[\s\S]*EADDRINUSE/);
  assert.ok(!loud.stderr.includes("\u001b"));
});

test("the journal gets priorities, also of what is wrong with the configuration", async (t) => {
  const directory = temporaryDirectory(t);
  const log = join(directory, "log");
  const file = join(directory, "chihaya.yaml");
  /** Runs the tracker with a file as its standard error, as if the journal read that file. */
  const logTo = async (text: string, ...flags: string[]) => {
    writeFileSync(file, text);
    const fd = openSync(log, "w");
    const { dev, ino } = fstatSync(fd);
    const env = { PATH: process.env.PATH!, JOURNAL_STREAM: `${dev}:${ino}` };
    const child = spawn(process.execPath, [main, "--config", file, ...flags], {
      stdio: ["ignore", "ignore", fd],
      env,
    });
    await once(child, "exit");
    closeSync(fd);
    return readFileSync(log, "utf8").trimEnd().split("\n");
  };
  const wrong = await logTo("chihaya:\n  http:\n    addr: nonsense\n");
  assert.match(wrong[0]!, /^<3>.*chihaya\.yaml:3:11: http\.addr: /);
  for (const line of wrong) assert.match(line, /^<3>/);
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  const inUse = toYaml({ http: { addr: `127.0.0.1:${port}` } });
  const text = await logTo(inUse);
  assert.match(text[0]!, /^<6>INFO: starting chihaya /);
  assert.match(text.at(-1)!, /^<3>ERROR: failed to start: .*in use/);
  const json = await logTo(inUse, "--json");
  assert.equal(JSON.parse(json.at(-1)!.replace("<3>", "")).level, "error");
});

test("npm start runs the tracker, and hands it the signal to stop", async (t) => {
  const file = join(temporaryDirectory(t), "chihaya.yaml");
  writeFileSync(file, toYaml({}));
  const npm = new Program(t, "npm", ["start", "--", "--json", "--config", file]);
  await npm.until(({ url }) => url?.startsWith("udp:") === true);
  npm.child.kill("SIGTERM");
  assert.deepEqual(await npm.ended, stopped);
  assert.equal(npm.lines.at(-1)?.msg, "stopped");
});

const [native] = (await listEngines()).filter(({ name }) => name === "linux");
test("workers of the native engine sleep without threads of libuv's pool", {
  skip: native!.skip,
}, async (t) => {
  const workers = 6; // more than the pool has threads
  const daemon = await Daemon.start(t, {}, "--set", `workers=${workers}`, "--set", "network=linux");
  await new RawClient(t, daemon.port("http")).get(`/announce?${announceQuery()}`);
  const names = globSync(`/proc/${daemon.child.pid}/task/*/comm`).map((file) => readFileSync(file, "latin1"));
  const pool = names.filter((name) => name === "libuv-worker\n").length;
  assert.ok(pool < workers, `${pool} threads for ${workers} workers`);
});

/** Sends a part of a request on a connection of its own, and waits until the tracker has it. */
async function begin(t: TestContext, daemon: Daemon, part: string): Promise<RawClient> {
  const client = new RawClient(t, daemon.port("http"));
  await new Promise((resolve) => client.socket.write(part, resolve));
  // What the tracker has accepted it reads before it looks at the next signal.
  const accepted = /^chihaya_http_connections_accepted_total [^0]/m;
  while (!accepted.test(await (await fetch(`${daemon.url("metrics")}/metrics`)).text()));
  return client;
}
