import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, mock, type TestContext, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { approvalOptions } from "../../../test/support/approval.ts";
import { announceRequest, announceResponse } from "../../../test/support/requests.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { toHex } from "../../bittorrent/info-hash.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { createClientApproval } from "../../hooks/client-approval/client-approval.ts";
import { unapprovedTorrent } from "../../hooks/torrent-approval/errors.ts";
import { createTorrentApproval } from "../../hooks/torrent-approval/torrent-approval.ts";
import { createRandom } from "../../lib/clock.ts";
import { Metrics } from "../../observability/metrics.ts";
import type { HookDeps } from "../define-hook.ts";
import { type Hook, RequestContext } from "../hook.ts";
import type { SharedState } from "../shared-state.ts";
import { listNotLoaded } from "./list-options.ts";
import { FileSource } from "./list-source.ts";
import type { ListOptions } from "./shared-list.ts";

const hash = (n: number) => n.toString(16).padStart(40, "0");
const names = (...numbers: number[]) => `${numbers.map(hash).join("\n")}\n`;

const ordinary: ListOptions = {
  ...{ whitelistFrom: [], blacklistFrom: [], checkInterval: 0.01, fetchInterval: 0.01 },
  ...{ maxEntries: 5000, onFailure: "refuse" },
};

/** Waits for a moment in which lists may be loaded. */
const soon = () => wait(1);

/** A folder, the memory of a tracker's workers, and all that they say. */
class Bench {
  readonly folder = mkdtempSync(join(tmpdir(), "chihaya-lists-"));
  readonly log: string[] = [];
  readonly removed: number[] = [];
  /** Takes the place of the store. */
  remove: (infoHash: number) => void | Promise<void> = (infoHash) => void this.removed.push(infoHash);
  metrics = new Metrics();
  readonly clock = { seconds: 1, unixSeconds: 1_700_000_000 };
  readonly #memories = new Map<string, SharedArrayBuffer>();
  readonly #topics = new Map<string, unknown>();
  readonly #listeners = new Set<(value: unknown) => void>();
  readonly #random = createRandom(1);
  readonly #t: TestContext;

  constructor(t: TestContext) {
    this.#t = t;
    t.after(() => rmSync(this.folder, { recursive: true }));
  }

  path(name = "list.txt"): string {
    return join(this.folder, name);
  }

  /** Replaces a file at once, as those who write lists should. */
  write(text: string | Uint8Array, name = "list.txt"): void {
    writeFileSync(this.path("new"), text);
    renameSync(this.path("new"), this.path(name));
  }

  deps(isFirst: boolean): HookDeps {
    const shared = {
      isFirst,
      buffer: async (name: string, bytes: number) => {
        const key = `${name} ${bytes}`;
        const memory = this.#memories.get(key) ?? new SharedArrayBuffer(bytes);
        this.#memories.set(key, memory);
        return memory;
      },
      publish: (topic: string, value: unknown) => {
        this.#topics.set(topic, value);
        for (const listener of this.#listeners) listener(value);
      },
      subscribe: (topic: string, listener: (value: unknown) => void) => {
        if (this.#topics.has(topic)) listener(this.#topics.get(topic));
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
    } as unknown as SharedState;
    const line = (level: string) => (_fields: object, message: string) =>
      void this.log.push(`${level}: ${message.replaceAll(`${this.folder}/`, "")}`);
    const logger = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
    const store = {
      remove: (infoHash: Uint8Array) => this.remove(Number(`0x${toHex(infoHash)}`)),
    };
    const { clock, metrics } = this;
    const lifetime = { peerLifetime: 60, gcInterval: 60 };
    return { clock, random: this.#random, logger, metrics, shared, store, lifetime };
  }

  async start(options: Partial<ListOptions> & { whitelist?: string[] }, isFirst = true): Promise<Worker> {
    const hook = await createTorrentApproval(
      approvalOptions({ ...ordinary, ...options }),
      this.deps(isFirst),
    );
    await hook.start!();
    this.#t.after(() => hook.stop!());
    return new Worker(hook);
  }

  value(name: string, labels: Record<string, string> = {}): number | undefined {
    const family = this.metrics.snapshot().find((each) => each.name === `chihaya_access_list_${name}`);
    return family?.series.find((series) =>
      Object.entries(labels).every(([label, value]) => series.labels[label] === value),
    )?.values[0];
  }

  /** Waits until the last line of the log is this one. */
  async logged(line: string): Promise<void> {
    while (this.log.at(-1) !== line) await soon();
  }
}

/** The hook as one worker has it. */
class Worker {
  readonly hook: Hook;

  constructor(hook: Hook) {
    this.hook = hook;
  }

  refusal(n: number) {
    const request = announceRequest(hash(n), "-AZ3034-6wfG2wk6wWLc");
    return this.hook.handleAnnounce!(request, announceResponse(), new RequestContext());
  }

  /** Those of the torrents 1 to 9 that announces and scrapes let pass. */
  passing(): string {
    const request = new ScrapeRequest(9);
    for (let n = 1; n <= 9; n++) request.add(Buffer.from(hash(n), "hex"), 0);
    this.hook.handleScrape!(request, new ScrapeResponse(9), new RequestContext());
    let passing = "";
    for (let n = 1; n <= 9; n++) {
      assert.equal(this.refusal(n) === undefined, !request.isHidden(n - 1));
      if (this.refusal(n) === undefined) passing += n;
    }
    return passing;
  }
}

describe("lists from files", () => {
  test("a whitelist, for all workers, followed as it changes; what leaves it is removed from the store", async (t) => {
    const bench = new Bench(t);
    bench.write(names(1, 2, 3));
    const [first, second] = await Promise.all([
      bench.start({ whitelistFrom: [bench.path()], whitelist: [hash(9)] }),
      bench.start({ whitelistFrom: [bench.path()], whitelist: [hash(9)] }, false),
    ]);
    assert.deepEqual([first.passing(), second.passing()], ["1239", "1239"]);
    const refusal = first.refusal(4) as ClientError;
    assert.deepEqual([refusal.message, refusal.code], [unapprovedTorrent.message, unapprovedTorrent.code]);
    assert.equal(refusal.retryIn, 15, "the list may name it soon");
    bench.write(names(2, 3, 4, 5));
    bench.log.length = 0;
    await bench.logged("info: list loaded");
    assert.deepEqual([first.passing(), second.passing()], ["23459", "23459"]);
    bench.write("# none\n");
    bench.log.length = 0;
    await bench.logged("info: list loaded");
    assert.deepEqual([first.passing(), second.passing()], ["9", "9"]);
    while (bench.removed.length < 5) await soon();
    assert.equal(bench.value("entries"), 1);
    assert.equal(bench.value("last_success_timestamp_seconds"), 1_700_000_000);
    await first.hook.stop!();
    assert.equal(bench.value("last_success_timestamp_seconds"), undefined);
    assert.deepEqual(bench.removed.sort(), [1, 2, 3, 4, 5]);
    assert.equal(bench.value("loads_total", { result: "loaded" }), 3);
  });

  test("a blacklist: what comes to it is removed from the store", async (t) => {
    const bench = new Bench(t);
    bench.write(names(1, 2));
    const first = await bench.start({ blacklistFrom: [bench.path()] });
    assert.equal(first.passing(), "3456789");
    bench.write(JSON.stringify([hash(2), hash(3)]));
    bench.log.length = 0;
    await bench.logged("info: list loaded");
    assert.equal(first.passing(), "1456789");
    while (bench.removed.length < 3) await soon();
    await first.hook.stop!();
    assert.deepEqual(bench.removed.sort(), [1, 2, 3]);
  });

  test("a store that cannot remove a torrent: the list is loaded, and the others are removed", async (t) => {
    const bench = new Bench(t);
    bench.write(names(1, 2, 3, 4));
    const first = await bench.start({ whitelistFrom: [bench.path()] });
    bench.remove = async (infoHash) => {
      if (infoHash < 3) throw new Error("Redis is gone");
      bench.removed.push(infoHash);
    };
    bench.write(names(4));
    const problem = "2 of 3 torrents not removed: Redis is gone; they expire";
    await bench.logged(`error: ${problem}`);
    assert.deepEqual(bench.log.slice(1), ["info: list loaded", `error: ${problem}`]);
    assert.deepEqual([first.passing(), bench.removed], ["4", [3]]);
    assert.equal(bench.value("loads_total", { result: "failed" }), 0);
  });

  test("while torrents are removed no other list waits", async (t) => {
    const bench = new Bench(t);
    bench.write(names(1, 2));
    bench.write(names(5), "other.txt");
    const first = await bench.start({ whitelistFrom: [bench.path()] });
    const removing = Promise.withResolvers<void>();
    const removal = Promise.withResolvers<void>();
    bench.remove = () => {
      removing.resolve();
      return removal.promise;
    };
    bench.write(names(2));
    await removing.promise;
    const other = await bench.start({ whitelistFrom: [bench.path("other.txt")], maxEntries: 6000 });
    assert.deepEqual([first.passing(), other.passing()], ["2", "5"]);
    removal.resolve();
  });

  const bad: [name: string, text: string | Uint8Array | undefined, problem: string][] = [
    [
      "cut off",
      names(4, 5).slice(0, -2),
      "list.txt:2: not an infohash: 39 hexadecimal digits; expected 40 hexadecimal digits, or a comment after #",
    ],
    [
      "too long a line",
      `${hash(4)}5\n`,
      "list.txt:1: not an infohash: 41 hexadecimal digits; expected 40 hexadecimal digits, or a comment after #",
    ],
    [
      "a hash of version 2",
      `${"ab".repeat(32)}  # v2\n`,
      "list.txt:1: not an infohash: 64 digits are a BEP 52 hash; clients announce its first 40 digits, so write those",
    ],
    ["empty", "", "list.txt:1: the list is empty; write a comment into a list without entries"],
    ["not UTF-8", Buffer.from([0x31, 0x80, 0x0a]), "list.txt:1: not UTF-8"],
    [
      "a page",
      "<!doctype html>\n",
      "list.txt:1: not an infohash: 15 characters; expected 40 hexadecimal digits, or a comment after #",
    ],
    ["huge", names(...Array(5001).keys()), "list.txt:5001: more entries than max_entries allows (5000)"],
    ["gone", undefined, "list.txt: no such file"],
  ];
  for (const [name, text, problem] of bad) {
    test(`a file that is ${name}: the previous list stays in use, with one line and a counter`, async (t) => {
      const bench = new Bench(t);
      bench.write(names(1, 2));
      const first = await bench.start({ whitelistFrom: [bench.path()] });
      if (text === undefined) unlinkSync(bench.path());
      else bench.write(text);
      const line = `error: list not loaded: ${problem}; the previous list stays in use`;
      await bench.logged(line);
      if (text !== undefined) bench.write(text);
      while (bench.value("loads_total", { result: "failed" })! < 2) await soon();
      assert.equal(first.passing(), "12");
      assert.equal(bench.value("failing_sources"), 1);
      assert.deepEqual(bench.log, ["info: list loaded", line]);
      assert.deepEqual(bench.removed, []);
      bench.write(names(7));
      await bench.logged("info: list loaded");
      assert.equal(first.passing(), "7");
      assert.equal(bench.value("failing_sources"), 0);
    });
  }

  test("one of several sources is wrong: none of them is taken", async (t) => {
    const bench = new Bench(t);
    bench.write(names(1));
    bench.write(names(2), "more.txt");
    const first = await bench.start({ whitelistFrom: [bench.path(), bench.path("more.txt")] });
    assert.equal(first.passing(), "12");
    bench.write("nonsense", "more.txt");
    bench.write(names(3));
    while (!bench.log.at(-1)!.startsWith("error")) await soon();
    assert.equal(first.passing(), "12");
    bench.write(names(4), "more.txt");
    await bench.logged("info: list loaded");
    assert.equal(first.passing(), "34");
  });

  for (const onFailure of ["refuse", "allow"] as const) {
    test(`no list yet: on_failure ${onFailure}`, async (t) => {
      const bench = new Bench(t);
      const options = { whitelistFrom: [bench.path()], onFailure };
      const workers = await Promise.all([bench.start(options), bench.start(options, false)]);
      for (const { refusal, hook, passing } of workers.map((worker) => ({
        refusal: worker.refusal(1),
        passing: worker.passing(),
        hook: worker.hook,
      }))) {
        assert.equal(refusal, onFailure === "refuse" ? listNotLoaded : undefined);
        assert.equal(passing, onFailure === "refuse" ? "" : "123456789");
        assert.equal(hook.ready!(), "no list could be loaded");
      }
      assert.deepEqual(bench.log, [
        `error: list not loaded: list.txt: no such file; no list yet: on_failure (${onFailure}) applies`,
      ]);
      bench.write(names(1));
      await bench.logged("info: list loaded");
      for (const worker of workers) assert.deepEqual([worker.passing(), worker.hook.ready!()], ["1", true]);
    });
  }

  test("a reload of the configuration: the new hook reads all anew, in the same memory", async (t) => {
    const bench = new Bench(t);
    bench.write(names(1, 2));
    bench.write(names(2, 3), "other.txt");
    const old = await bench.start({ whitelistFrom: [bench.path()], checkInterval: 1000 });
    const next = await bench.start({ whitelistFrom: [bench.path("other.txt")] });
    assert.equal(next.passing(), "23");
    await old.hook.stop!();
    bench.write(names(5), "other.txt");
    bench.log.length = 0;
    await bench.logged("info: list loaded");
    assert.equal(next.passing(), "5");
  });

  test("a hook that a reload is about to stop writes no more", async (t) => {
    const bench = new Bench(t);
    bench.write(names(1, 2));
    bench.write(names(3), "other.txt");
    const old = await bench.start({ whitelistFrom: [bench.path()] });
    const next = await bench.start({ whitelistFrom: [bench.path(), bench.path("other.txt")] });
    bench.write(names(1, 2, 8));
    while (next.passing() !== "1238") await soon();
    bench.write(names(3, 4), "other.txt");
    while (next.passing() !== "12348") await soon();
    assert.deepEqual(bench.log, Array(4).fill("info: list loaded"));
    await old.hook.stop!();
    await next.hook.stop!();
    assert.deepEqual(bench.removed, []);
  });

  test("a reload that is refused: the old hook brings its list back", async (t) => {
    const bench = new Bench(t);
    bench.write(names(1));
    bench.write(names(2), "other.txt");
    const old = await bench.start({ whitelistFrom: [bench.path()] });
    const next = await bench.start({ whitelistFrom: [bench.path("other.txt")] });
    assert.equal(old.passing(), "2");
    await next.hook.stop!();
    assert.equal(bench.value("entries"), 1);
    while (old.passing() !== "1") await soon();
  });

  test("what a reload was refused for, before or after the start of its hook, changes no metric", async (t) => {
    const bench = new Bench(t);
    bench.write(names(1, 2, 3));
    const shown = () => ["entries", "failing_sources"].map((name) => bench.value(name));
    await bench.start({ whitelistFrom: [bench.path()] });
    const lists = approvalOptions({ ...ordinary, whitelistFrom: [bench.path("missing")] });
    const next = await createTorrentApproval(lists, bench.deps(true));
    assert.deepEqual(shown(), [3, 0]);
    await next.start!();
    assert.deepEqual(shown(), [3, 1], "the list in use is still the first");
    await next.stop!();
    assert.deepEqual(shown(), [3, 0]);
  });

  test("a worker that takes the place of the first shows entries and age of the list in use", async (t) => {
    const bench = new Bench(t);
    bench.write(names(1, 2, 3));
    const options = { whitelistFrom: [bench.path()] };
    await bench.start(options);
    unlinkSync(bench.path());
    bench.clock.unixSeconds += 60;
    bench.metrics = new Metrics(); // of another thread
    const next = await bench.start(options);
    assert.equal(next.passing(), "123");
    const shown = ["entries", "last_success_timestamp_seconds", "failing_sources"];
    assert.deepEqual(
      shown.map((name) => bench.value(name)),
      [3, 1_700_000_000, 1],
    );
  });

  test("two hooks of one name are shown together", async (t) => {
    const [bench, other] = [new Bench(t), new Bench(t)];
    bench.write(names(1, 2, 3));
    other.write(names(1, 2));
    other.metrics = bench.metrics;
    other.clock.unixSeconds = 1_700_000_009;
    const first = await bench.start({ whitelistFrom: [bench.path()] });
    await other.start({ whitelistFrom: [other.path()] });
    unlinkSync(bench.path());
    while (bench.value("failing_sources") !== 1) await soon();
    assert.equal(bench.value("entries"), 5);
    assert.equal(bench.value("last_success_timestamp_seconds"), 1_700_000_000);
    await first.hook.stop!();
    assert.deepEqual([bench.value("entries"), bench.value("failing_sources")], [2, 0]);
  });

  test("a reload to other memory: no worker goes on before there is a list in it", async (t) => {
    const bench = new Bench(t);
    bench.write(names(1));
    const options = { whitelistFrom: [bench.path()] };
    await Promise.all([bench.start(options), bench.start(options, false)]);
    const reloaded = bench.start({ ...options, maxEntries: 6000 }, false);
    const first = bench.start({ ...options, maxEntries: 6000 });
    assert.equal((await reloaded).passing(), "1");
    await first;
  });

  test("a list of clients", async (t) => {
    const bench = new Bench(t);
    bench.write("TR4100 # Transmission\n#qB5120\n");
    const lists = approvalOptions({ whitelistFrom: [bench.path()], checkInterval: 0.01 });
    const hook = await createClientApproval(lists, bench.deps(true));
    await hook.start!();
    t.after(() => hook.stop!());
    const passes = (peerId: string) =>
      hook.handleAnnounce!(announceRequest(hash(1), peerId), announceResponse(), new RequestContext()) ===
      undefined;
    assert.deepEqual([passes("-TR4100-6wfG2wk6wWLc"), passes("-qB5120-6wfG2wk6wWLc")], [true, false]);
    bench.write("TR4100x\n");
    const problem = "not a client ID: 7 bytes; expected 6 bytes, or a comment after #";
    await bench.logged(`error: list not loaded: list.txt:1: ${problem}; the previous list stays in use`);
  });
});

describe("lists from URLs", () => {
  /** Serves the responses that `answer` makes. */
  async function serve(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => void) {
    const server = createServer(answer).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/list?key=secret`;
  }

  test("requests again with the validators of the last response; a failure keeps the list", async (t) => {
    const bench = new Bench(t);
    const seen: string[] = [];
    let now: { etag: string; body: string; status?: number; cut?: boolean } = { etag: '"1"', body: names(1) };
    const url = await serve(t, (request, response) => {
      const known = request.headers["if-none-match"] ?? "";
      seen.push(known);
      if (known === now.etag) return void response.writeHead(304).end();
      response.writeHead(now.status ?? 200, { etag: now.etag, "content-length": now.body.length });
      if (now.cut) response.write(now.body.slice(0, 41), () => response.destroy());
      else response.end(now.body);
    });
    const first = await bench.start({ whitelistFrom: [url] });
    assert.equal(first.passing(), "1");
    while (seen.length < 3) await soon();
    assert.deepEqual(seen.slice(0, 3), ["", '"1"', '"1"']);
    assert.deepEqual(bench.log, ["info: list loaded"]);

    const name = url.slice(0, url.indexOf("?"));
    now = { etag: '"2"', body: names(2, 3), status: 500 };
    await bench.logged(`error: list not loaded: ${name}: status 500; the previous list stays in use`);
    now = { etag: '"2"', body: names(2, 3), cut: true };
    while (!bench.log.at(-1)!.includes("terminated")) await soon();
    assert.equal(first.passing(), "1");
    now = { etag: '"1"', body: names(1) };
    while (bench.value("failing_sources") !== 0) await soon();
    now = { etag: '"2"', body: names(2, 3) };
    while (first.passing() !== "23") await soon();
  });

  test("a redirect is not followed", async (t) => {
    const bench = new Bench(t);
    const elsewhere = await serve(t, (_request, response) => {
      response.end("something that only the tracker can reach");
    });
    const url = await serve(t, (_request, response) => {
      response.writeHead(302, { location: elsewhere }).end();
    });
    const first = await bench.start({ whitelistFrom: [url], fetchInterval: 1000 });
    assert.equal(first.passing(), "");
    const name = url.slice(0, url.indexOf("?"));
    assert.deepEqual(bench.log, [
      `error: list not loaded: ${name}: status 302, a redirect: give the URL that it leads to; no list yet: on_failure (refuse) applies`,
    ]);
  });

  test("a file that changes while a URL is down is taken when the URL is back, changed or not", async (t) => {
    const bench = new Bench(t);
    bench.write(names(1));
    let isDown = false;
    const url = await serve(t, (request, response) => {
      if (isDown) return void response.writeHead(503).end();
      if (request.headers["if-none-match"] === '"1"') return void response.writeHead(304).end();
      response.writeHead(200, { etag: '"1"' }).end(names(2));
    });
    const first = await bench.start({ blacklistFrom: [bench.path(), url] });
    assert.equal(first.passing(), "3456789");
    isDown = true;
    while (bench.value("failing_sources") !== 1) await soon();
    bench.write(names(1, 3));
    const failed = () => bench.value("loads_total", { result: "failed" })!;
    for (const before = failed(); failed() < before + 3; ) await soon();
    assert.equal(first.passing(), "3456789");
    isDown = false;
    while (bench.value("failing_sources") !== 0) await soon();
    while (first.passing() !== "456789") await soon();
  });

  for (const [what, broken] of [
    ["missing", undefined],
    ["broken", "nonsense"],
  ] as const) {
    test(`a URL beside a file that is ${what} from the start is not asked more often for it`, async (t) => {
      const bench = new Bench(t);
      let asked = 0;
      const url = await serve(t, (_request, response) => {
        asked++;
        response.end(names(2));
      });
      if (broken !== undefined) bench.write(broken);
      bench.write(names(1), "looked-at.txt");
      const options = {
        whitelistFrom: [bench.path(), bench.path("looked-at.txt"), url],
        fetchInterval: 1000,
      };
      const first = await bench.start(options);
      const opened = mock.method(FileSource.prototype, "open");
      t.after(() => opened.mock.restore());
      while (opened.mock.callCount() < 10) await soon();
      assert.equal(asked, 1);
      bench.write(names(3));
      while (first.passing() !== "123") await soon();
      assert.equal(asked, 2, "once for the list as a whole");
    });
  }

  test("a request without a response ends when the hook stops", async (t) => {
    const bench = new Bench(t);
    let asked = () => {};
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    let isMute = false;
    const url = await serve(t, (_request, response) => {
      if (isMute) asked();
      else response.end(names(1));
    });
    const first = await bench.start({ whitelistFrom: [url] });
    isMute = true;
    await isAsked;
    await first.hook.stop!();
    assert.deepEqual(bench.log, ["info: list loaded"]);
  });
});
