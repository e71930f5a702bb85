/** A private tracker as its operator runs it: the command line, the daemon, and what is in the database afterwards. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { run as runPrivate } from "../../src/cli/commands/private.ts";
import { announce } from "../../src/client/tracker-client.ts";
import type { TrackerError } from "../../src/client/tracker-error.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { hashToken } from "../../src/operator/api/access.ts";
import { SiteAdministration } from "../../src/private/sites/sql/administration.ts";
import { openDatabase } from "../../src/private/sites/sql/open-database.ts";
import { decodeBencode } from "../../src/protocol/bencode/decode.ts";
import { createPayload, createTorrent, hashPieces } from "../e2e/torrent.ts";
import { waitUntil } from "../e2e/wait-until.ts";
import { askAt } from "../support/admin-server.ts";
import { type LogLine, main, Program, temporaryDirectory } from "../support/daemon.ts";
import { createTestDatabase, databaseKinds } from "../support/private-database.ts";

const infoHash = "0123456789abcdef0123456789abcdef01234567";
const { none, started, completed, stopped } = AnnounceEvent;
/** Whether tests of every database run. */
const isFull = process.env.CHIHAYA_TEST_LEDGER === "full";

/** A site made by `chihaya private init`. */
class Site {
  readonly #t: TestContext;
  readonly directory: string;
  readonly config: string;
  readonly database: string;

  private constructor(t: TestContext, database: string | undefined) {
    this.#t = t;
    this.directory = join(temporaryDirectory(t), "site");
    this.config = join(this.directory, "chihaya.yaml");
    this.database = database ?? join(this.directory, "private.sqlite");
  }

  /** @param database  of a server; without one, a file in the directory */
  static async init(t: TestContext, database?: string): Promise<Site> {
    const site = new Site(t, database);
    const flags = database === undefined ? [] : ["--database", database];
    const { status, stderr } = await site.run("init", site.directory, ...flags);
    assert.equal(status, 0, stderr);
    return site;
  }

  /** Runs `chihaya private` in this process. */
  async run(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
    const output = { stdout: "", stderr: "" };
    const capture = (name: "stdout" | "stderr") => {
      const write = process[name].write.bind(process[name]);
      return this.#t.mock.method(process[name], "write", (chunk: string | Uint8Array) => {
        if (chunk[0] === 0xff) return write(chunk); // of the test runner, which serializes what it reports
        output[name] += Buffer.from(chunk as string).toString("latin1");
        return true;
      });
    };
    const [stdout, stderr] = [capture("stdout"), capture("stderr")];
    const status = await runPrivate(args);
    stdout.mock.restore();
    stderr.mock.restore();
    return { status, ...output };
  }

  /** Runs `chihaya private` with the configuration. @returns the values of `--json` */
  async json(...args: string[]): Promise<Record<string, unknown>> {
    const { status, stdout, stderr } = await this.run(...args, "--config", this.config, "--json");
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout);
  }

  /** Adds a user as the command line does. @returns the passkey */
  addUser(name: string): Promise<string> {
    return this.#administer(async (site) => (await site.addUser(name)).passkey);
  }

  /** Adds the torrent of the tests. */
  async addTorrent(): Promise<void> {
    await this.#administer((site) => site.addTorrent({ v1: Buffer.from(infoHash, "hex") }));
  }

  credit(name: string): Promise<number> {
    return this.#administer(async (site) => Number((await site.user(name)).uploaded));
  }

  async #administer<Result>(work: (site: SiteAdministration) => Promise<Result>): Promise<Result> {
    const open = await openDatabase(this.database, "");
    try {
      return await work(new SiteAdministration(open));
    } finally {
      await open.database.close();
    }
  }

  /** Starts the tracker, and waits until it serves. */
  async start(workers = 1): Promise<RunningTracker> {
    const set = ["http.addr=127.0.0.1:0", "udp.addr=127.0.0.1:0", "metrics_addr=127.0.0.1:0"];
    const small = ["http.max_connections=100", "udp.receive_buffer=212992", "storage.config.max_peers=10000"];
    const flags = [...set, ...small, `workers=${workers}`].flatMap((one) => ["--set", one]);
    const program = new Program(this.#t, process.execPath, [
      main,
      "--json",
      "--config",
      this.config,
      ...flags,
    ]);
    await program.until(({ url }) => url?.startsWith("udp:") === true);
    return new RunningTracker(program);
  }

  /** Reads rows of the database. */
  rows(sql: string): Record<string, unknown>[] {
    const database = new DatabaseSync(join(this.directory, "private.sqlite"));
    try {
      return database.prepare(sql).all();
    } finally {
      database.close();
    }
  }

  write(sql: string): void {
    const database = new DatabaseSync(join(this.directory, "private.sqlite"), { timeout: 5000 });
    database.exec(sql);
    database.close();
  }
}

class RunningTracker {
  readonly program: Program;

  constructor(program: Program) {
    this.program = program;
  }

  url(scheme: "http" | "udp", passkey: string): string {
    const isIt = ({ msg, url }: LogLine) => msg === "serving" && url?.startsWith(`${scheme}:`);
    return `${this.program.lines.find(isIt)!.url}/announce/${passkey}`;
  }

  get metrics(): string {
    return this.program.lines.find(({ msg }) => msg === "serving metrics and health")!.url!;
  }

  isRunning = true;

  async stop(): Promise<void> {
    this.program.child.kill("SIGTERM");
    await this.program.ended;
  }

  async kill(): Promise<void> {
    this.isRunning = false;
    this.program.child.kill("SIGKILL");
    await this.program.ended;
  }
}

/** An announce of a client. */
function of(n: number, event: AnnounceEvent, uploaded: number, more: object = {}) {
  const peerId = Buffer.from(`-XX0001-${`${n}`.padStart(12, "0")}`);
  const torrent = Buffer.from(infoHash, "hex");
  const counters = { uploaded: BigInt(uploaded), downloaded: 0n, left: 1n };
  return { infoHash: torrent, peerId, port: 1000 + n, event, ...counters, ...more };
}

async function refusalOf(url: string, event: AnnounceEvent = started, more: object = {}): Promise<string> {
  try {
    await announce(url, of(1, event, 0, more), { timeoutMs: 30_000 });
    return "";
  } catch (error) {
    return (error as TrackerError).message;
  }
}

test("a site in a new directory: users, torrents, announces over HTTP and UDP, traffic in the database", async (t) => {
  const site = await Site.init(t);
  assert.equal((await site.run("init", site.directory)).status, 1, "nothing is overwritten");
  assert.equal(statSync(join(site.directory, "private.sqlite")).mode & 0o77, 0, "nobody else reads passkeys");
  const ann = (await site.json("add-user", "ann")).passkey as string;
  const bob = (await site.json("add-user", "bob")).passkey as string;
  assert.match(ann, /^[\da-f]{32}$/);
  assert.equal((await site.run("add-user", "ann", "--config", site.config)).status, 1);
  assert.deepEqual(await site.json("add-torrent", infoHash), { id: 1, info_hash: infoHash, new: true });
  assert.deepEqual(await site.json("add-torrent", infoHash), { id: 1, info_hash: infoHash, new: false });
  const { url } = await site.json("announce-url", "ann");
  assert.equal(url, `http://127.0.0.1:6969/announce/${ann}`);

  const tracker = await site.start();
  const [http, udp] = [tracker.url("http", ann), tracker.url("udp", bob)];
  await announce(http, of(1, started, 0));
  await announce(http.replace(`/announce/${ann}`, `/${ann}/announce`), of(1, none, 1000));
  await announce(http.replace(`/${ann}`, `?passkey=${ann}`), of(1, none, 2000));
  await announce(udp, of(2, started, 0, { left: 5000n }));
  const { peers } = await announce(udp, of(2, none, 0, { downloaded: 3000n, left: 2000n }));
  assert.deepEqual(
    peers.map(({ port }) => port),
    [1001],
  );
  await announce(udp, of(2, completed, 0, { downloaded: 5000n, left: 0n }));
  await announce(http, of(1, stopped, 5000, { left: 0n }));
  await tracker.stop();

  assert.deepEqual(
    site.rows("SELECT name, uploaded, downloaded FROM users ORDER BY id").map((row) => ({ ...row })),
    [
      { name: "ann", uploaded: 5000, downloaded: 0 },
      { name: "bob", uploaded: 0, downloaded: 5000 },
    ],
  );
  const [torrent] = site.rows("SELECT seeders, leechers, completed FROM torrents");
  assert.deepEqual({ ...torrent }, { seeders: 1, leechers: 0, completed: 1 });
  const stats = await site.json("stats");
  assert.deepEqual([stats.uploaded, stats.downloaded, stats.applied], [5000, 5000, 7]);
  assert.equal((await site.json("stats", "ann")).uploaded, 5000);
  const log = tracker.program.stderr;
  assert.ok(!log.includes(ann) && !log.includes(bob), "no passkey in the log");
});

test("announces are refused with the texts that clients of such sites know", async (t) => {
  const site = await Site.init(t);
  const [ann, seeder] = [await site.addUser("ann"), await site.addUser("seeder")];
  await site.addTorrent();
  site.write("UPDATE users SET can_leech = 0 WHERE name = 'seeder'");
  const tracker = await site.start();
  for (const scheme of ["http", "udp"] as const) {
    assert.equal(await refusalOf(tracker.url(scheme, ann)), "");
    assert.equal(await refusalOf(tracker.url(scheme, "0".repeat(32))), "Passkey not found");
    assert.equal(await refusalOf(tracker.url(scheme, "short")), "Passkey not found");
    assert.equal(await refusalOf(tracker.url(scheme, ann).replace(`/${ann}`, "")), "Passkey not found");
    const other = { infoHash: Buffer.alloc(20, 7) };
    assert.equal(await refusalOf(tracker.url(scheme, ann), started, other), "Unregistered torrent");
    assert.equal(await refusalOf(tracker.url(scheme, seeder)), "Access denied, leeching forbidden");
    assert.equal(await refusalOf(tracker.url(scheme, seeder), started, { left: 0n }), "");
  }
});

test("what the site changes works while the tracker runs", async (t) => {
  const site = await Site.init(t);
  const tracker = await site.start();
  const becomes = (text: string, passkey: string, what: string) =>
    waitUntil(what, async () => (await refusalOf(tracker.url("udp", passkey))) === text);
  const ann = await site.addUser("ann");
  await becomes("Unregistered torrent", ann, "the new user is known");
  await site.addTorrent();
  await becomes("", ann, "the new torrent is known");
  const next = (await site.json("reset-passkey", "ann")).passkey as string;
  await becomes("Passkey not found", ann, "the old passkey is gone");
  await becomes("", next, "the new passkey is known");
  await site.json("disable-user", "ann");
  await becomes("Your account is disabled", next, "the user is disabled");
  await site.json("enable-user", "ann");
  await becomes("", next, "the user is enabled");
  site.write("UPDATE torrents SET status = 0");
  await becomes("Unregistered torrent", next, "the torrent is withdrawn");
  site.write("DELETE FROM users");
  await becomes("Passkey not found", next, "the user is deleted");
});

for (const [kind, missing] of databaseKinds) {
  const skip = missing || (kind === "PostgreSQL" && !isFull ? "CHIHAYA_TEST_LEDGER=full runs it" : false);
  test(`${kind}: kill -9 of the tracker, five times, loses no byte and counts none twice`, {
    skip,
  }, async (t) => {
    const { address, crash } = await createTestDatabase(t, kind);
    const site = await Site.init(t, kind === "SQLite" ? undefined : address);
    const users = 20;
    const passkeys: string[] = [];
    for (let n = 0; n < users; n++) passkeys.push(await site.addUser(`user ${n}`));
    await site.addTorrent();
    let tracker = await site.start(2);
    const random = createRandom(7);
    const uploaded = new Array<number>(users).fill(0);
    const send = (n: number, event: AnnounceEvent, timeoutMs = 60_000) =>
      announce(tracker.url(n % 2 === 0 ? "http" : "udp", passkeys[n]!), of(n, event, uploaded[n]!), {
        timeoutMs,
      });
    for (let n = 0; n < users; n++) await send(n, started);
    await send(0, stopped); // its response comes when its record is on disk, and so are the records before it
    for (let round = 0; round < 5; round++) {
      let answered = 0;
      const clients = uploaded.map(async (_, n) => {
        while (tracker.isRunning) {
          uploaded[n]! += random.next() % 100_000;
          const event = random.next() % 10 === 0 ? stopped : none;
          await send(n, event, 5000).catch(() => undefined); // the tracker may be dead
          if (++answered === 300) await tracker.kill();
        }
      });
      await Promise.all(clients);
      if (round % 2 === 1) await crash();
      tracker = await site.start(2);
    }
    for (let n = 0; n < users; n++) await send(n, stopped);
    await tracker.kill();
    tracker = await site.start();
    await tracker.stop();
    const credited: number[] = [];
    for (let n = 0; n < users; n++) credited.push(await site.credit(`user ${n}`));
    assert.deepEqual(credited, uploaded);
  });
}

test("a database that is restored from a backup gets what it lacks from the journal", async (t) => {
  const site = await Site.init(t);
  const ann = await site.addUser("ann");
  await site.addTorrent();
  let tracker = await site.start();
  await announce(tracker.url("udp", ann), of(1, started, 0));
  await announce(tracker.url("udp", ann), of(1, none, 700));
  await tracker.stop();
  const database = join(site.directory, "private.sqlite");
  site.write(`VACUUM INTO '${database}.backup'`);
  tracker = await site.start();
  await announce(tracker.url("udp", ann), of(1, none, 1500));
  await tracker.stop();
  assert.equal(await site.credit("ann"), 1500);
  renameSync(`${database}.backup`, database);
  assert.equal(await site.credit("ann"), 700);
  tracker = await site.start();
  await announce(tracker.url("udp", ann), of(1, stopped, 1600));
  await tracker.stop();
  assert.equal(await site.credit("ann"), 1600);
});

test("a second tracker on the same journal, or on the same database, does not start", async (t) => {
  const site = await Site.init(t);
  const ann = await site.addUser("ann");
  await site.addTorrent();
  const tracker = await site.start();
  await assert.rejects(site.start(), /journal is in use by another tracker/);
  const text = readFileSync(site.config, "utf8");
  cpSync(join(site.directory, "journal"), join(site.directory, "copy"), { recursive: true });
  writeFileSync(site.config, text.replace(/journal"$/m, 'copy"'));
  await assert.rejects(site.start(), /another tracker has the accounts of this site; stop that tracker/);
  assert.equal((await site.run("adopt", "--config", site.config)).status, 1, "not while a tracker runs");
  await announce(tracker.url("udp", ann), of(1, started, 0));
  await announce(tracker.url("udp", ann), of(1, stopped, 9));
  await tracker.stop();
  writeFileSync(site.config, text.replace(/journal"$/m, 'other"'));
  await assert.rejects(site.start(), /traffic of another journal/);
});

test("a lost journal: the tracker says so, and adopt starts another one", async (t) => {
  const site = await Site.init(t);
  const ann = await site.addUser("ann");
  await site.addTorrent();
  let tracker = await site.start();
  await announce(tracker.url("udp", ann), of(1, started, 0));
  await announce(tracker.url("udp", ann), of(1, none, 100));
  await tracker.stop();
  assert.equal((await site.run("adopt", "--config", site.config)).status, 1, "nothing to adopt");
  const journal = join(site.directory, "journal");
  for (const name of readdirSync(journal)) if (name.endsWith(".journal")) rmSync(join(journal, name));
  await assert.rejects(site.start(), /the end of the journal is missing; .*Backup.* in docs\/private\.md/);
  renameSync(journal, join(site.directory, "lost"));
  await assert.rejects(site.start(), /chihaya private adopt/);
  const { status, stdout } = await site.run("adopt", "--config", site.config);
  assert.deepEqual([status, /new journal/.test(stdout)], [0, true]);
  tracker = await site.start();
  await announce(tracker.url("udp", ann), of(1, none, 150));
  await announce(tracker.url("udp", ann), of(1, stopped, 170));
  await tracker.stop();
  assert.equal(await site.credit("ann"), 120, "the first announce of a session credits nothing");
});

test("a database that is replaced while the tracker runs: nothing is lost, and the tracker says what to do", async (t) => {
  const site = await Site.init(t);
  const ann = await site.addUser("ann");
  await site.addTorrent();
  let tracker = await site.start();
  await announce(tracker.url("udp", ann), of(1, started, 0));
  const backup = `${site.database}.backup`;
  site.write(`VACUUM INTO '${backup}'`);
  renameSync(backup, site.database);
  await announce(tracker.url("udp", ann), of(1, stopped, 700));
  await waitUntil("the tracker is not ready", async () => {
    const response = await fetch(`${tracker.metrics}/readyz`);
    return /the file was removed or replaced; restart the tracker/.test(await response.text());
  });
  await tracker.stop();
  for (const suffix of ["-wal", "-shm"]) rmSync(`${site.database}${suffix}`, { force: true });
  assert.equal(await site.credit("ann"), 0);
  tracker = await site.start();
  await tracker.stop();
  assert.equal(await site.credit("ann"), 700);
});

test("announce-url writes a torrent with the URL of the user as its only tracker", async (t) => {
  const site = await Site.init(t);
  const passkey = await site.addUser("ann");
  const payload = createPayload(1000);
  const { bytes, infoHash: hash } = createTorrent("x", "http://elsewhere/", {
    length: payload.length,
    pieces: hashPieces(payload),
  });
  const file = join(site.directory, "x.torrent");
  writeFileSync(file, bytes);
  assert.equal((await site.json("add-torrent", file)).info_hash, Buffer.from(hash).toString("hex"));
  const announceOf = (torrent: Uint8Array) =>
    `${Buffer.from((decodeBencode(torrent) as Map<string, Uint8Array>).get("announce")!)}`;
  const { stdout } = await site.run("announce-url", "ann", file, "--config", site.config);
  assert.equal(announceOf(Buffer.from(stdout, "latin1")), `http://127.0.0.1:6969/announce/${passkey}`);
  const out = join(site.directory, "ann.torrent");
  const set = "private.announce_url=https://tracker.example.com/:passkey/announce";
  await site.run("announce-url", "ann", file, "--out", out, "--config", site.config, "--set", set);
  assert.equal(announceOf(readFileSync(out)), `https://tracker.example.com/${passkey}/announce`);
  const urlWith = (url: string) =>
    site.run("announce-url", "ann", "--config", site.config, "--set", `private.announce_url=${url}`);
  for (const scheme of ["http", "https", "udp", "ws", "wss"]) {
    const { stdout: url } = await urlWith(`${scheme}://tracker.example.com/announce/:passkey`);
    assert.equal(url, `${scheme}://tracker.example.com/announce/${passkey}\n`);
  }
  const { status, stderr } = await urlWith("ftp://tracker.example.com/announce/:passkey");
  assert.deepEqual([status, /expected a URL with http, https, udp, ws or wss/.test(stderr)], [78, true]);
});

test("init leaves nothing behind when it fails, and takes any path", async (t) => {
  const parent = temporaryDirectory(t);
  const site = await Site.init(t);
  const directory = join(parent, "my site, ann's $" + "{x}");
  const obstacle = join(directory, ".chihaya.yaml.chihaya-tmp");
  mkdirSync(obstacle, { recursive: true });
  writeFileSync(join(directory, "private.sqlite.unfinished"), "of an init that was killed");
  const failed = await site.run("init", directory);
  assert.deepEqual([failed.status, /cannot write .*chihaya\.yaml/.test(failed.stderr)], [1, true]);
  assert.deepEqual(readdirSync(directory), [".chihaya.yaml.chihaya-tmp"]);
  rmSync(obstacle, { recursive: true });
  const { status, stdout } = await site.run("init", directory);
  assert.equal(status, 0);
  const [, word] = /private add-user NAME --config (.*)\n/.exec(stdout)!;
  const printed = execFileSync("sh", ["-c", `printf %s ${word}`], { encoding: "utf8" });
  assert.equal(printed, join(directory, "chihaya.yaml"), "one word for the shell");
  const config = join(parent, "elsewhere.yaml");
  cpSync(join(directory, "chihaya.yaml"), config);
  const added = await site.run("add-user", "ann", "--config", config);
  assert.equal(added.status, 0, added.stderr);
  const database = join(parent, "databases/ann.sqlite");
  const other = join(parent, "other");
  const relativePath = relative(process.cwd(), database);
  assert.equal((await site.run("init", other, "--database", relativePath)).status, 0);
  assert.ok(readFileSync(join(other, "chihaya.yaml"), "utf8").includes(JSON.stringify(database)));
  assert.deepEqual(readdirSync(join(parent, "databases")), ["ann.sqlite"]);
});

for (const [kind, skip] of databaseKinds.slice(1))
  test(`${kind}: init can be repeated if the configuration could not be written`, { skip }, async (t) => {
    const { address } = await createTestDatabase(t, kind);
    const site = await Site.init(t);
    const directory = join(temporaryDirectory(t), "site");
    const obstacle = join(directory, ".chihaya.yaml.chihaya-tmp");
    mkdirSync(obstacle, { recursive: true });
    const failed = await site.run("init", directory, "--database", address);
    assert.deepEqual([failed.status, /cannot write .*chihaya\.yaml/.test(failed.stderr)], [1, true]);
    rmSync(obstacle, { recursive: true });
    const { status, stderr } = await site.run("init", directory, "--database", address);
    assert.equal(status, 0, stderr);
    const again = join(temporaryDirectory(t), "again");
    assert.match((await site.run("init", again, "--database", address)).stderr, /use an empty database/);
    assert.deepEqual(readdirSync(again), []);
  });

test("announce-url keeps the file that it replaces until the new one is whole", async (t) => {
  const site = await Site.init(t);
  const passkey = await site.addUser("ann");
  const payload = createPayload(1000);
  const pieces = hashPieces(payload);
  const { bytes } = createTorrent("x", "http://elsewhere/", { length: payload.length, pieces });
  const file = join(site.directory, "x.torrent");
  const link = join(site.directory, "link.torrent");
  writeFileSync(file, bytes, { mode: 0o640 });
  symlinkSync("x.torrent", link);
  const write = (out: string) => site.run("announce-url", "ann", file, "--out", out, "--config", site.config);
  const inodes = () => [lstatSync(file).ino, lstatSync(link).ino];
  const [before, linkBefore] = inodes();
  const { status, stderr } = await write(link);
  assert.deepEqual(
    [status, /x\.torrent is not a torrent of the site yet; .*add-torrent/.test(stderr)],
    [0, true],
  );
  assert.deepEqual(
    [inodes()[0] === before, inodes()[1]],
    [false, linkBefore],
    "a new file in the place of the old",
  );
  assert.equal(statSync(file).mode & 0o777, 0o640);
  assert.ok(readFileSync(file).includes(passkey));
  await site.run("add-torrent", file, "--config", site.config);
  const mistakes: [string, RegExp][] = [
    [site.directory, /cannot write .*: is a directory, not a file/],
    [join(site.directory, "missing/x.torrent"), /cannot write .*missing\/x\.torrent: no such directory/],
    ...(existsSync("/dev/full")
      ? [["/dev/full", /cannot write \/dev\/full: the disk is full/] as [string, RegExp]]
      : []),
  ];
  for (const [out, message] of mistakes) {
    const result = await write(out);
    assert.equal(result.status, 1);
    assert.match(result.stderr, message);
    assert.ok(!result.stderr.includes("not a torrent of the site"));
  }
});

test("a user's own clients and hidden users are no peers, and factors, slots and clients follow the rules", async (t) => {
  const site = await Site.init(t);
  const [ann, bea] = [await site.addUser("ann"), await site.addUser("bea")];
  await site.addTorrent();
  const other = Buffer.alloc(20, 7);
  await site.json("add-torrent", other.toString("hex"));
  await site.json("add-grant", "--user", "bea", "--torrent", infoHash, "--up", "150");
  await site.json("freeleech", "--user", "ann", "--until", "24h");
  const tracker = await site.start();
  const ports = async (passkey: string, n: number, more: object = {}) => {
    const { peers } = await announce(tracker.url("udp", passkey), of(n, none, 0, { ...more }));
    return peers.map(({ port }) => port).sort();
  };
  assert.deepEqual(await ports(ann, 1), []);
  assert.deepEqual(await ports(ann, 2), [], "ann's other client");
  assert.deepEqual(await ports(bea, 3), [1001, 1002]);
  assert.deepEqual(await ports(ann, 1, { downloaded: 900n }), [1003]);
  await site.json("set-user", "bea", "--hidden", "yes");
  await waitUntil("bea is hidden", async () => {
    await ports(bea, 3, { uploaded: 99n });
    return (await ports(ann, 1, { downloaded: 900n })).length === 0;
  });
  assert.deepEqual(await ports(bea, 3, { uploaded: 99n }), [1001, 1002], "who still gets peers");

  await site.json("set-group", "newbies", "--slots", "1");
  await site.json("set-user", "ann", "--group", "newbies");
  await waitUntil("ann has one slot", async () => {
    const one = await announce(tracker.url("http", ann), of(1, none, 0, { downloaded: 900n }));
    const two = await announce(tracker.url("http", ann), of(9, none, 0, { infoHash: other }));
    const isRefused = ({ warning }: { warning?: string }) => warning === "Download slot limit reached";
    return isRefused(one) !== isRefused(two); // the slot is for the torrent that is announced first after the change
  });
  const denied = await site.run("deny-client", "--config", site.config, "--", "-XX0001-");
  assert.deepEqual(denied, { status: 0, stdout: "prefix -XX0001-, allow false\n", stderr: "" });
  await waitUntil("the client is denied", async () => {
    return (await refusalOf(tracker.url("udp", ann))) === "Your client is not allowed";
  });
  await tracker.stop();
  const credits = site.rows(
    "SELECT uploaded, downloaded, raw_uploaded, raw_downloaded FROM users ORDER BY id",
  );
  assert.deepEqual(
    credits.map((row) => Object.values(row)),
    [
      [0, 0, 0, 900],
      [148, 0, 99, 0],
    ],
  );
  await site.run("remove-grant", "--user", "ann", "--config", site.config);
  const grants = await site.json("grants");
  assert.deepEqual(grants, [{ user_id: 2, torrent_id: 1, up: 150, down: null, until: null }]);
});

test("guessed passkeys are limited, over HTTP and UDP, and SQL in a passkey is a wrong passkey", async (t) => {
  const site = await Site.init(t);
  const [ann, bea] = [await site.addUser("ann"), await site.addUser("bea")];
  await site.addTorrent();
  await site.json("disable-user", "bea"); // so that no announce makes her known at the address
  const tracker = await site.start(2);
  assert.equal(await refusalOf(tracker.url("udp", ann)), "");
  for (const peerId of ["');DROP TABLE peers;--", "-XX0001-\\'\"\0; --\xff\xfe", "%27%20OR%201=1;--%00"])
    assert.equal(
      await refusalOf(tracker.url("http", ann), stopped, {
        peerId: Buffer.from(peerId.slice(0, 20).padEnd(20), "latin1"),
      }),
      "",
    );
  for (const text of ["'%20OR%20'1'='1", "%27;DROP%20TABLE%20users;--", `${"a".repeat(31)}%27`])
    assert.equal(await refusalOf(tracker.url("http", text)), "Passkey not found");
  const tooMany = "Too many unknown passkeys from your address";
  const counted = new Map<string, number>();
  let guesses = 0;
  const guess = () => {
    const n = guesses++;
    return refusalOf(tracker.url(n % 2 === 0 ? "http" : "udp", `${n}`.padStart(32, "0")));
  };
  while (!counted.has(tooMany)) {
    const refusal = await guess();
    counted.set(refusal, (counted.get(refusal) ?? 0) + 1);
  }
  assert.deepEqual([...counted.keys()], ["Passkey not found", tooMany]);
  // The limit is 50. The clock of a worker may be ten seconds behind that of the other one, and five seconds are one guess.
  assert.ok(counted.get("Passkey not found")! >= 48, `${counted.get("Passkey not found")}`);
  // Every five seconds, there is one more guess.
  for (let refusal = "Your account is disabled"; refusal !== tooMany; ) {
    assert.equal(refusal, "Your account is disabled");
    await guess();
    refusal = await refusalOf(tracker.url("http", bea));
  }
  assert.equal(await refusalOf(tracker.url("http", ann)), "", "who was here before");
  await tracker.stop();
  assert.equal(site.rows("SELECT * FROM users").length, 2);
  assert.equal(site.rows("SELECT * FROM peers WHERE length(peer_id) = 20").length, 4);
  const log = tracker.program.stderr;
  assert.ok(!log.includes(ann) && !log.includes(bea), "no passkey in the log");
});

test("the admin API steers the site: a user who is added works within a second", async (t) => {
  const site = await Site.init(t);
  const admin = "\n  admin:\n    tokens: [{name: ops, hash: HASH, scopes: [write]}]\n";
  writeFileSync(site.config, readFileSync(site.config, "utf8") + admin.replace("HASH", hashToken("write")));
  const tracker = await site.start();
  const ask = askAt(tracker.metrics.replace(/\/$/, ""));
  const write = (method: string, path: string, body?: unknown) => ask(method, `/site${path}`, body, "write");
  const { body: user } = await write("POST", "/users", { name: "ann" });
  await write("POST", "/torrents", { info_hash: infoHash });
  const url = tracker.url("udp", user.passkey);
  await waitUntil("user and torrent are known", async () => (await refusalOf(url)) === "");
  assert.equal((await write("PUT", "/grants/0/0", { down: 0, up: 200 })).status, 200);
  assert.equal((await write("PATCH", "/users/1", { enabled: false })).body.enabled, false);
  await waitUntil("ann is disabled", async () => (await refusalOf(url)) === "Your account is disabled");
  assert.equal((await write("PATCH", "/users/1", { enabled: true })).body.enabled, true);
  await waitUntil("ann is enabled", async () => (await refusalOf(url)) === "");
  await announce(url, of(1, none, 500, { downloaded: 700n }));
  await announce(url, of(1, stopped, 500, { downloaded: 700n }));
  await waitUntil("the bytes are in the database", async () => {
    const { body } = await write("GET", "/users/1");
    return body.uploaded === 1000 && body.downloaded === 0;
  });
  const reset = await write("POST", "/users/1/passkey");
  await waitUntil("the old passkey is gone", async () => (await refusalOf(url)) === "Passkey not found");
  assert.equal((await write("DELETE", "/users/name:ann")).status, 204);
  await tracker.stop();
  const { stderr } = tracker.program;
  for (const passkey of [user.passkey, reset.body.passkey]) assert.ok(!stderr.includes(passkey));
});

test("init that is interrupted while the database does not respond leaves no configuration", async (t) => {
  const connected = Promise.withResolvers<void>();
  const silent = createServer(() => connected.resolve()).listen(0, "127.0.0.1");
  t.after(() => silent.close());
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const directory = join(temporaryDirectory(t), "site");
  const database = `mysql://user@127.0.0.1:${port}/site`;
  const init = new Program(t, process.execPath, [main, "private", "init", directory, "--database", database]);
  await Promise.race([connected.promise, init.ended]);
  init.child.kill("SIGINT");
  assert.deepEqual(await init.ended, { code: 130, signal: null }, init.stderr);
  assert.deepEqual(readdirSync(directory), []);
});

test("mistakes on the command line name the remedy", async (t) => {
  const site = await Site.init(t);
  const mistakes: [string[], number, RegExp][] = [
    [[], 2, /needs one of init, add-user/],
    [["frobnicate"], 2, /needs one of init, add-user/],
    [["add-user"], 2, /needs the NAME of a user/],
    [["add-user", "a\nb"], 2, /without control characters/],
    [["add-user", "a\u202eb"], 2, /without control characters/],
    [["add-user", " ann"], 2, /no space at the beginning/],
    [["add-user", " "], 2, /no space at the beginning/],
    [["add-user", "\ufffd"], 2, /expected text in UTF-8/],
    [["add-user", "x".repeat(65)], 2, /expected 1 to 64 characters/],
    [["set-group", "", "--slots", "1"], 2, /expected 1 to 64 characters/],
    [["announce-url", "nobody"], 1, /there is no user "nobody"/],
    [["reset-passkey", "nobody"], 1, /there is no user "nobody"/],
    [["disable-user", "nobody"], 1, /there is no user "nobody"/],
    [["stats", "nobody"], 1, /there is no user "nobody"/],
    [["add-torrent", "missing.torrent"], 2, /neither an infohash .* nor a file/],
    [["add-torrent", `magnet:?xt=urn:btih:${infoHash}`], 2, /of a magnet link, give the digits after btih:/],
    [["add-torrent", site.config], 1, /not a torrent/],
    [["set-user", "nobody", "--hidden", "yes"], 1, /none of the users is "nobody"/],
    [["set-user", "nobody", "--hidden", "maybe"], 2, /neither yes nor no/],
    [["set-user", "nobody", "--group", "x"], 1, /none of the groups is "x"/],
    [["set-user", "nobody"], 2, /needs a flag/],
    [["add-grant", "--user", "nobody"], 2, /needs --up, --down or both/],
    [["add-grant", "--up", "-5"], 2, /./],
    [["freeleech", "--until", "yesterday"], 2, /not a time to come/],
    [["remove-grant"], 1, /none of the grants is "0:0"/],
    [["deny-client", "x".repeat(21)], 2, /1 to 20 first characters/],
  ];
  for (const [args, status, message] of mistakes) {
    const result = await site.run(...args, "--config", site.config);
    assert.deepEqual(
      [result.status, message.test(result.stderr)],
      [status, true],
      `${args}: ${result.stderr}`,
    );
  }
  const away = "cannot connect to the database: connect ECONNREFUSED";
  const places: [string[], RegExp][] = [
    [[join(site.directory, "x"), "--database", "mysql://u@127.0.0.1:1/site"], new RegExp(away)],
    [[join(site.directory, "x"), "--database", "postgres://u@127.0.0.1:1/site"], new RegExp(away)],
    [[join(site.config, "site")], /cannot make the directory .*: a part of the path is a file/],
    [["/proc/chihaya-test/site"], /cannot make the directory \/proc/],
    [
      [join(site.directory, "x"), "--database", "mysql://u@127.0.0.1/site", "--password-file", "/missing"],
      /--password-file: cannot read \/missing: no such file/,
    ],
  ];
  for (const [args, message] of places) {
    const { status, stderr } = await site.run("init", ...args);
    assert.deepEqual([status, message.test(stderr)], [1, true], `${args}: ${stderr}`);
  }
  const missing = join(site.directory, "missing");
  const bad = await site.run("stats", "--config", site.config, "--set", `private.database=${missing}`);
  assert.deepEqual([bad.status, /chihaya private init DIR/.test(bad.stderr)], [1, true]);
  assert.equal(existsSync(missing), false, "a mistyped path makes no file");
  const kind = await site.run("stats", "--config", site.config, "--set", "private.database=oracle://x/y");
  assert.deepEqual([kind.status, /no database of the kind "oracle"/.test(kind.stderr)], [78, true]);
  mkdirSync(missing);
  const empty = join(missing, "empty.yaml");
  writeFileSync(empty, "chihaya:\n  udp:\n");
  const none = await site.run("stats", "--config", empty);
  assert.deepEqual([none.status, /has no block "private"/.test(none.stderr)], [78, true]);
});
