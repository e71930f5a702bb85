/** Several trackers of one private site, as their operator runs them. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { announce } from "../../src/client/tracker-client.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { findFreePort } from "../e2e/ports.ts";
import { main, Program, temporaryDirectory } from "../support/daemon.ts";
import { startRedisServer, withoutRedis } from "../support/redis-server.ts";
import { patientRedis } from "../support/test-storage.ts";

const { none, started, stopped } = AnnounceEvent;
const infoHash = "0123456789abcdef0123456789abcdef01234567";
const secret = "0123456789abcdef0123456789abcdef";
const users = 6;

/** A tracker of the site, which may die and come back. */
class Tracker {
  readonly #t: TestContext;
  readonly #flags: readonly string[];
  program!: Program;

  constructor(t: TestContext, settings: Readonly<Record<string, string>>) {
    this.#t = t;
    const all: Record<string, string> = {
      ...{ "http.addr": "127.0.0.1:0", "udp.addr": "127.0.0.1:0", metrics_addr: "127.0.0.1:0", workers: "1" },
      ...{
        "http.max_connections": "100",
        "udp.receive_buffer": "212992",
        ...(settings["storage.name"] === undefined && { "storage.config.max_peers": "10000" }),
      },
      ...settings,
    };
    this.#flags = Object.entries(all).flatMap(([name, value]) => ["--set", `${name}=${value}`]);
  }

  async start(): Promise<this> {
    this.program = new Program(this.#t, process.execPath, [main, "--json", ...this.#flags]);
    await this.program.until(({ url }) => url?.startsWith("udp:") === true);
    return this;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.program.child.kill(signal);
    await this.program.ended;
  }

  /** @returns the ports of the peers in the response */
  async announce(
    passkey: string,
    n: number,
    event: AnnounceEvent,
    uploaded: number,
    left = 0n,
  ): Promise<number[]> {
    const { url } = this.program.lines.find(({ msg, url }) => msg === "serving" && url?.startsWith("udp:"))!;
    const peerId = Buffer.from(`-XX0001-${`${n}`.padStart(12, "0")}`);
    const counters = { uploaded: BigInt(uploaded), downloaded: 0n, left };
    const fields = { infoHash: Buffer.from(infoHash, "hex"), peerId, port: 1000 + n, event, ...counters };
    const { peers } = await announce(`${url}/announce/${passkey}`, fields, { timeoutMs: 60_000 });
    return peers.map(({ port }) => port).sort();
  }
}

/** Two trackers of one site, the first with its accounts. */
async function startTrackers(t: TestContext, settings: Readonly<Record<string, string>> = {}) {
  const directory = temporaryDirectory(t);
  const site = join(directory, "site");
  const run = (...args: string[]) =>
    execFileSync(process.execPath, [main, "private", ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
  run("init", site);
  const config = ["--config", join(site, "chihaya.yaml")];
  run("add-torrent", infoHash, ...config);
  const passkeys = Array.from(
    { length: users },
    (_, n) => JSON.parse(run("add-user", `user ${n}`, ...config, "--json")).passkey as string,
  );
  const database = join(site, "private.sqlite");
  const port = await findFreePort();
  const first = await new Tracker(t, {
    ...{ "private.database": database, "private.journal.dir": join(site, "journal") },
    ...{ "private.trackers.addr": `127.0.0.1:${port}`, "private.trackers.secret": secret },
    ...settings,
  }).start();
  const { url } = first.program.lines.find(({ msg }) => msg === "waiting for further trackers of the site")!;
  const second = await new Tracker(t, {
    ...{ "private.database": url!, "private.journal.dir": join(directory, "journal") },
    "private.trackers.secret": secret,
    ...settings,
  }).start();
  await second.program.until(({ msg }) => msg === "users and torrents received");
  const credits = (): unknown[] => {
    const rows = new DatabaseSync(database).prepare("SELECT uploaded FROM users ORDER BY id").all();
    return rows.map((row) => row.uploaded);
  };
  return { first, second, passkeys, credits };
}

test("two trackers of one site, one is killed three times and clients move: every byte counts once", async (t) => {
  const { first, second, passkeys, credits } = await startTrackers(t);
  const random = createRandom(5);
  const uploaded = new Array<number>(users).fill(0);
  const send = async (tracker: Tracker, n: number, event: AnnounceEvent) => {
    uploaded[n]! += event === started ? 0 : random.next() % 100_000;
    await tracker.announce(passkeys[n]!, n, event, uploaded[n]!);
  };
  for (let n = 0; n < users; n++) await send(n % 2 === 0 ? first : second, n, started);
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 30; n++) await send(random.next() % 2 === 0 ? first : second, n % users, none);
    await send(second, round, stopped); // on the disk of the second tracker
    await second.end("SIGKILL");
    for (let n = 0; n < users; n++) await send(first, n, n === round ? started : none);
    await second.start();
    await second.program.until(({ msg }) => msg === "users and torrents received");
  }
  for (let n = 0; n < users; n++) await send(second, n, stopped);
  await second.end("SIGTERM");
  await first.end("SIGTERM");
  assert.deepEqual(credits(), uploaded);
});

test("two trackers over one Redis: a user gets no own peers, and clients that leave a tracker without the accounts count once", {
  skip: withoutRedis,
}, async (t) => {
  const server = await startRedisServer();
  t.after(() => server.stop());
  const { first, second, passkeys, credits } = await startTrackers(t, {
    ...{ "storage.name": "redis", "storage.config.redis_broker": server.url },
    "storage.config.redis_connect_timeout": patientRedis.redis_connect_timeout,
    "storage.config.redis_read_timeout": patientRedis.redis_read_timeout,
  });
  const [ann, bob] = passkeys as [string, string];
  assert.deepEqual(await first.announce(ann, 1, started, 0, 1n), []);
  assert.deepEqual(await second.announce(ann, 2, started, 0, 1n), [], "the other client of the same user");
  assert.deepEqual(await second.announce(bob, 3, started, 0, 1n), [1001, 1002]);
  assert.deepEqual(await first.announce(ann, 1, none, 100, 1n), [1003]);
  await first.announce(passkeys[5]!, 9, stopped, 0); // answered once the records before are on disk, as ann's started
  await first.end("SIGKILL");
  for (const n of [1, 2]) assert.deepEqual(await second.announce(ann, n, none, 200, 1n), [1003]);
  assert.deepEqual(await second.announce(bob, 3, stopped, 50, 1n), []);
  const lines = second.program.lines.length;
  await first.start();
  for (const n of [1, 2]) assert.deepEqual(await first.announce(ann, n, none, 300, 1n), []);
  await second.program.until(({ msg }) => msg === "connected to the tracker with the accounts", lines);
  for (const n of [1, 2]) await first.announce(ann, n, stopped, 400, 1n);
  await second.end("SIGTERM");
  await first.end("SIGTERM");
  assert.deepEqual(credits(), [800, 50, 0, 0, 0, 0]);
});
