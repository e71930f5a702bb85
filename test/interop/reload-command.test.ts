/** `chihaya reload` and `chihaya health` against a running tracker, over its unix socket and over HTTP. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, rmSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { hashToken } from "../../src/operator/api/access.ts";
import { type DaemonSettings, main, Program, temporaryDirectory, toYaml } from "../support/daemon.ts";

interface Done {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end. */
async function chihaya(args: readonly string[], env: Record<string, string> = {}): Promise<Done> {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env.PATH!, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [[code], stdout, stderr] = await Promise.all([
    once(child, "close"),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}

/** A tracker whose runtime directory and configuration are in one directory. */
class UnitTracker extends Program {
  readonly file: string;
  readonly socket: string;

  constructor(t: TestContext, directory: string) {
    const file = join(directory, "chihaya.yaml");
    super(t, process.execPath, [main, "--json", "--config", file], { RUNTIME_DIRECTORY: directory });
    this.file = file;
    this.socket = join(directory, "chihaya.sock");
  }

  static async start(t: TestContext, settings: DaemonSettings = {}): Promise<UnitTracker> {
    const directory = temporaryDirectory(t);
    writeFileSync(join(directory, "chihaya.yaml"), toYaml(settings));
    const tracker = new UnitTracker(t, directory);
    await tracker.serves();
    return tracker;
  }

  serves(): Promise<unknown> {
    return this.until(({ url }) => url?.startsWith("udp:") === true);
  }

  write(settings: DaemonSettings | string): void {
    writeFileSync(this.file, typeof settings === "string" ? settings : toYaml(settings));
  }

  /** Reloads as the unit does: by its environment. */
  reload(...flags: string[]): Promise<Done> {
    const env = { RUNTIME_DIRECTORY: join(this.socket, ".."), CHIHAYA_CONFIG: this.file };
    return chihaya(["reload", ...flags], env);
  }

  /** Reloads by a signal, after a number of reloads by the command. @returns its first `count` lines */
  async signal(after: number, count: number): Promise<string[]> {
    await this.until(() => this.lines.filter(({ msg }) => msg === "admin").length >= after);
    const from = this.lines.length;
    const found = () => this.lines.slice(from).filter(({ msg }) => msg.startsWith("configuration "));
    this.child.kill("SIGHUP");
    await this.until(() => found().length >= count);
    return found().map(({ at, msg }) => `${at}: ${msg}`);
  }
}

for (const workers of [1, 3]) {
  test(`reload prints what applies and what waits, without the block admin, with ${workers} worker(s)`, async (t) => {
    const tracker = await UnitTracker.start(t, { workers });
    const { file, socket } = tracker;
    assert.equal(statSync(socket).mode & 0o777, 0o600);
    assert.deepEqual(await tracker.reload(), {
      code: 0,
      stdout: `${file}: reloaded\nno setting has changed\n`,
      stderr: "",
    });

    tracker.write({ workers: 2, announce_interval: "20m", http: { max_numwant: 60 } });
    assert.deepEqual(await tracker.reload(), {
      code: 0,
      stdout: `${file}: reloaded\napplied: http.max_numwant, announce_interval\nneeds a restart: workers\n`,
      stderr: "",
    });
    const json = JSON.parse((await tracker.reload("--json")).stdout);
    assert.deepEqual([json.applied, json.needs_restart], [[], ["workers"]], "it still waits");

    tracker.write({ workers, announce_interval: "2h" });
    const warned = await tracker.reload();
    assert.equal(warned.code, 0);
    assert.match(warned.stdout, /^applied: .*announce_interval/m);
    assert.match(warned.stdout, /: warning: storage\.config\.peer_lifetime: peers announce every 7200 s/);

    tracker.write({ workers, announce_interval: "-1m", udp: { nonsense: 1 } });
    const refused = await tracker.reload();
    assert.deepEqual([refused.code, refused.stdout], [78, ""]);
    const [head, ...faults] = refused.stderr.trimEnd().split("\n");
    assert.equal(head, "chihaya reload: the tracker goes on with the old configuration:");
    assert.equal(faults.length, 2, refused.stderr);
    const byLog = (await tracker.signal(5, 2)).map((line) =>
      line.replace("configuration not reloaded: ", ""),
    );
    assert.deepEqual(
      faults.map((fault) => fault.replace(/(:\d+:\d+): [\w.]+: /, "$1: ")),
      byLog,
      "the signal says the same",
    );
    assert.deepEqual(await chihaya(["health", "--socket", socket]), {
      code: 0,
      stdout: "ready\n",
      stderr: "",
    });

    tracker.child.kill("SIGTERM");
    assert.deepEqual(await tracker.ended, { code: 0, signal: null });
    assert.ok(!existsSync(socket), "removed");
  });
}

test("a file that is gone, torn or unreadable is an error with its place, and the tracker goes on", async (t) => {
  const tracker = await UnitTracker.start(t);
  for (const [spoil, expected] of [
    [() => tracker.write("chihaya: {\n"), /chihaya\.yaml:\d+:\d+: /],
    [() => tracker.write(""), /the file is empty/],
    [() => unlinkSync(tracker.file), /chihaya\.yaml: no such file/],
  ] as const) {
    spoil();
    const { code, stdout, stderr } = await tracker.reload();
    assert.deepEqual([code, stdout], [78, ""]);
    assert.match(stderr, expected);
  }
  tracker.write({});
  assert.equal((await tracker.reload()).code, 0);
});

test("reloads that come during a reload wait for the one that follows it, and each gets a result", async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "chihaya.yaml");
  execFileSync("mkfifo", [file]);
  const tracker = new UnitTracker(t, directory);
  const configure = (settings: DaemonSettings, meanwhile: () => void = () => undefined) => {
    const fd = openSync(file, "w"); // waits until the tracker reads
    meanwhile();
    writeFileSync(fd, toYaml(settings));
    closeSync(fd);
  };
  configure({});
  await tracker.serves();
  // With --socket the command reads no configuration.
  const reload = () => chihaya(["reload", "--socket", tracker.socket]);
  const first = reload();
  let others: Promise<Done>[] = [];
  configure({ announce_interval: "20m" }, () => {
    others = [reload(), reload()];
    tracker.child.kill("SIGHUP");
    unlinkSync(file);
    tracker.write({ announce_interval: "25m" });
  });
  assert.match((await first).stdout, /^applied: announce_interval$/m);
  // How many reloads follow depends on when the others come; the first of them applies the change.
  const results = await Promise.all(others);
  for (const { code, stdout } of results) {
    assert.equal(code, 0);
    assert.match(stdout, /: reloaded\n/);
  }
});

test("the socket of a killed tracker is replaced, and that of a living one is not", async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "chihaya.yaml"), toYaml({}));
  const first = new UnitTracker(t, directory);
  await first.serves();
  const second = new UnitTracker(t, directory);
  await second.serves();
  const warning = await second.until(({ level, msg }) => level === "warn" && msg.includes("unix:"));
  assert.match(warning.msg, /another process listens there; .*"chihaya reload" cannot reach this tracker$/);
  assert.equal((await first.reload()).code, 0);
  await first.until(({ msg }) => msg === "configuration reloaded");
  second.child.kill("SIGTERM");
  await second.ended;
  assert.ok(existsSync(first.socket), "the second one leaves it alone also when it stops");

  first.child.kill("SIGKILL");
  await first.ended;
  const dead = await first.reload();
  assert.equal(dead.code, 1);
  assert.match(dead.stderr, /^chihaya reload: no tracker listens on .*chihaya\.sock or \/run\/chihaya/);
  const third = new UnitTracker(t, directory);
  await third.serves();
  assert.equal((await third.reload()).code, 0);
});

test("a reload that systemd asks for waits for a tracker that is starting", async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "chihaya.yaml");
  writeFileSync(file, toYaml({}));
  const env = { RUNTIME_DIRECTORY: directory, CHIHAYA_CONFIG: file, MAINPID: "1" };
  const reload = chihaya(["reload"], env);
  const tracker = new UnitTracker(t, directory);
  assert.deepEqual(await reload, {
    code: 0,
    stdout: `${file}: reloaded\nno setting has changed\n`,
    stderr: "",
  });
  await tracker.serves();
  tracker.child.kill("SIGKILL");
  await tracker.ended;
  const gone = await chihaya(["reload", "--timeout", "1s"], env);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /no tracker listens on/);
});

test("admin.socket: an explicit path, none, and one that cannot be used", async (t) => {
  const directory = temporaryDirectory(t);
  const socket = join(directory, "own.sock");
  const tracker = await UnitTracker.start(t, { admin: { socket } });
  assert.ok(!existsSync(tracker.socket));
  const { code, stdout } = await chihaya(["reload", "--config", tracker.file]);
  assert.deepEqual([code, stdout], [0, `${tracker.file}: reloaded\nno setting has changed\n`]);

  const none = await UnitTracker.start(t, { admin: { socket: "" } });
  assert.ok(!existsSync(none.socket));

  const file = join(directory, "missing.yaml");
  writeFileSync(file, toYaml({ admin: { socket: join(directory, "none/a.sock") } }));
  const failed = await chihaya(["--json", "--config", file]);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /cannot listen on unix:.*there is no directory .*none; create the directory/);

  writeFileSync(file, toYaml({ admin: { socket: `/${"x".repeat(200)}` } }));
  const long = await chihaya(["check-config", file]);
  assert.equal(long.code, 78);
  assert.match(long.stdout, /admin\.socket: the path has 201 bytes, and that of a unix socket at most/);
});

test("reload finds the tracker although the file names another socket now", {
  skip: process.platform !== "linux",
}, async (t) => {
  const directory = temporaryDirectory(t);
  const [tracker, other] = (await Promise.all(
    ["old", "other"].map((name) =>
      UnitTracker.start(t, { admin: { socket: join(directory, `${name}.sock`) } }),
    ),
  )) as [UnitTracker, UnitTracker];
  for (const socket of [join(directory, "new.sock"), "auto", ""]) {
    tracker.write({ admin: { socket } });
    const { code, stdout } = await chihaya(["reload", "--config", tracker.file]);
    assert.deepEqual(
      [code, stdout],
      [0, `${tracker.file}: reloaded\nneeds a restart: admin.socket\n`],
      socket,
    );
  }
  assert.ok(!other.lines.some(({ msg }) => msg === "admin"), "the other tracker is left alone");
  tracker.child.kill("SIGKILL");
  await tracker.ended;
  const gone = await chihaya(["reload", "--config", tracker.file]);
  assert.match(gone.stderr, /no tracker listens on/);
});

test("a runtime directory that is gone is a warning, and no reason to stop", async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "chihaya.yaml");
  writeFileSync(file, toYaml({}));
  const env = { RUNTIME_DIRECTORY: join(directory, "none") };
  const tracker = new Program(t, process.execPath, [main, "--json", "--config", file], env);
  await tracker.until(({ url }) => url?.startsWith("udp:") === true);
  const { msg } = await tracker.until(({ level, msg }) => level === "warn" && msg.includes("unix:"));
  assert.match(msg, /there is no directory/);
});

test("a tracker without a configuration file says so", async (t) => {
  const directory = temporaryDirectory(t);
  const sets = ["metrics_addr", "http.addr", "udp.addr"].flatMap((key) => ["--set", `${key}=127.0.0.1:0`]);
  const limits = ["http", "websocket"].flatMap((name) => ["--set", `${name}.max_connections=100`]);
  const tracker = new Program(
    t,
    process.execPath,
    [main, "--json", ...sets, ...limits, "--set", "storage.config.max_peers=1000"],
    {
      RUNTIME_DIRECTORY: directory,
    },
  );
  await tracker.until(({ url }) => url?.startsWith("udp:") === true);
  assert.deepEqual(await chihaya(["reload"], { RUNTIME_DIRECTORY: directory }), {
    code: 0,
    stdout: "reloaded, but the tracker runs without a configuration file, so no setting can have changed\n",
    stderr: "",
  });
  const lonely = await chihaya(["reload"]);
  assert.equal(lonely.code, 1);
  assert.match(lonely.stderr, /^chihaya reload: there is no configuration file; no tracker listens on/);
});

test("another user may not open the socket, and is told who may", {
  skip: process.getuid?.() !== 0,
}, async (t) => {
  const tracker = await UnitTracker.start(t);
  execFileSync("chmod", ["755", join(tracker.socket, "..")]);
  // The command runs as root up to the request, since the user may not be able to read the program.
  const asNobody = `process.setgid(65534); process.setuid(65534);`;
  const hook = join(temporaryDirectory(t), "nobody.mjs");
  writeFileSync(hook, `import "${main.replace("cli/main.ts", "cli/commands/reload.ts")}"; ${asNobody}`);
  const child = spawn(process.execPath, ["--import", hook, main, "reload", "--socket", tracker.socket], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [[code], stderr] = await Promise.all([once(child, "close"), text(child.stderr)]);
  assert.equal(code, 1, stderr);
  assert.match(
    stderr,
    /no permission to open the socket; run the command as root or as the user of the tracker/,
  );
});

test("over HTTP, a reload needs the token of a file", async (t) => {
  const tokens = [
    { name: "ops", hash: hashToken("secret"), scopes: ["admin"] },
    { name: "eye", hash: hashToken("looker"), scopes: ["read"] },
  ];
  const tracker = await UnitTracker.start(t, { admin: { tokens } });
  const { url } = await tracker.until(
    ({ msg, url }) => msg.endsWith("admin API") && url!.startsWith("http:"),
  );
  const directory = temporaryDirectory(t);
  const tokenFile = (token: string) => {
    const file = join(directory, "token");
    writeFileSync(file, token);
    return file;
  };
  const reload = (...flags: string[]) => chihaya(["reload", "--url", url!, ...flags]);
  assert.equal((await reload("--token-file", tokenFile("secret\n"))).code, 0);
  for (const [flags, code, message] of [
    [[], 1, /a token with the scope admin is needed; give one with --token-file FILE/],
    [["--token-file", tokenFile("wrong")], 1, /the token is wrong/],
  ] as const) {
    const done = await reload(...flags);
    assert.equal(done.code, code);
    assert.match(done.stderr, message);
  }
  assert.match(
    (await reload("--token-file", tokenFile("looker"))).stderr,
    /status 403: the token lacks the scope/,
  );
  const inUrl = await reload("--url", `${url}?token=secret`);
  assert.equal(inUrl.code, 2);
  assert.match(inUrl.stderr, /takes no token, user or query; give the token with --token-file FILE/);
  assert.doesNotMatch(inUrl.stderr, /secret/);
  const plain = await UnitTracker.start(t);
  const metrics = await plain.until(({ msg }) => msg === "serving metrics and health");
  const off = await chihaya(["reload", "--url", metrics.url!]);
  assert.deepEqual([off.code, off.stdout], [1, ""]);
  assert.match(off.stderr, /there is no admin API on this listener; add the block admin/);
});

test("health: ready, not ready with the reason, and nobody there", async (t) => {
  const directory = temporaryDirectory(t);
  const source = `
    export default { name: "moody", create: () => ({
      ready: () => "the list is missing",
      handleAnnounce() {},
    }) };`;
  writeFileSync(join(directory, "moody.mjs"), source);
  const file = join(directory, "chihaya.yaml");
  writeFileSync(file, toYaml({ workers: 1, prehooks: [{ module: "./moody.mjs" }] }));
  const moody = new UnitTracker(t, directory);
  await moody.serves();
  const { url } = await moody.until(({ msg }) => msg === "serving metrics and health");
  const address = url!.replace("http://", "");
  for (const [flags, env] of [
    [["--url", url!], {}],
    [["--socket", moody.socket], {}],
    [[], { RUNTIME_DIRECTORY: directory }],
    [[], { CHIHAYA_METRICS_ADDR: address }],
    [[], { CHIHAYA_METRICS_ADDR: `:${address.split(":")[1]}` }],
  ] as const) {
    const { code, stdout, stderr } = await chihaya(["health", ...flags], { ...env });
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^not ready\n.*moody.*: the list is missing\n$/);
  }
  moody.write({ workers: 1 });
  assert.equal((await moody.reload()).code, 0);
  assert.deepEqual(await chihaya(["health", "--url", url!]), { code: 0, stdout: "ready\n", stderr: "" });

  moody.child.kill("SIGKILL");
  await moody.ended;
  for (const flags of [
    ["--url", url!],
    ["--socket", moody.socket],
    ["--socket", join(directory, "none.sock")],
  ]) {
    const { code, stderr } = await chihaya(["health", ...flags]);
    assert.equal(code, 1);
    assert.match(stderr, /^not ready: .*: no tracker listens there; is it running\?\n$/);
  }
});

test("health and reload give up on something that never responds, or is no tracker", async (t) => {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    if (isSilent) return;
    socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
  });
  let isSilent = true;
  const directory = temporaryDirectory(t);
  const socket = join(directory, "other.sock");
  await once(server.listen(socket), "listening");
  t.after(() => server.close());
  for (const command of ["health", "reload"]) {
    const { code, stderr } = await chihaya([command, "--socket", socket, "--timeout", "200ms"]);
    assert.equal(code, 1);
    assert.match(stderr, /other\.sock: no response within 0\.2 s/);
  }
  isSilent = false;
  const health = await chihaya(["health", "--socket", socket]);
  assert.deepEqual([health.code, health.stdout], [1, ""]);
  assert.match(health.stderr, /expected the health of a tracker, got status 200/);
  const reload = await chihaya(["reload", "--socket", socket]);
  assert.deepEqual([reload.code, reload.stdout], [1, ""]);
  rmSync(socket, { force: true });
});
