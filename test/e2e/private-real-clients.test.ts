/**
 * A private tracker from nothing: the command line makes the site, two users share a file with real clients, and the database has
 * the bytes of both, to the byte.
 *
 * A missing client skips its test; with CHIHAYA_REQUIRE_CLIENTS=1 it fails it.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { main } from "../support/daemon.ts";
import { aria2 } from "./clients/aria2.ts";
import { type Task, withoutClients } from "./clients/client.ts";
import { libtorrent } from "./clients/libtorrent.ts";
import { findFreePort } from "./ports.ts";
import { type RunningProcess, startProcess } from "./process.ts";
import { createPayload, createTorrent, hashPieces } from "./torrent.ts";
import { waitUntil } from "./wait-until.ts";

const payload = createPayload(20 * 1024 * 1024);
const checksum = createHash("sha256").update(payload).digest("hex");
const pieces = hashPieces(payload);

const skip = await withoutClients(aria2, libtorrent);
const run = promisify(execFile);

/** Runs `chihaya private`. @returns its standard output */
async function chihayaPrivate(...args: string[]): Promise<string> {
  return (await run(process.execPath, [main, "private", ...args])).stdout;
}

describe("a private tracker", { concurrency: 1 }, () => {
  for (const [seed, download, over] of [
    [aria2, libtorrent, "http"],
    [libtorrent, aria2, "http"],
    [libtorrent, libtorrent, "udp"], // aria2 sends no path over UDP
  ] as const) {
    it(`credits ${seed.name} and ${download.name} over ${over} to the byte`, { skip }, async (t) => {
      const directory = await mkdtemp(join(tmpdir(), "chihaya-e2e-"));
      t.after(() => rm(directory, { recursive: true, force: true }));
      const site = join(directory, "site");
      const file = join(site, "chihaya.yaml");
      const flags = ["--config", file];
      await chihayaPrivate("init", site);
      const port = await findFreePort();
      for (const name of ["uploader", "downloader"]) await chihayaPrivate("add-user", name, ...flags);
      const { bytes } = createTorrent("payload.bin", "http://nowhere.invalid/", {
        length: payload.length,
        pieces,
      });
      const torrent = join(directory, "payload.torrent");
      await writeFile(torrent, bytes);
      await chihayaPrivate("add-torrent", torrent, ...flags);
      const settings = [`http.addr=127.0.0.1:${port}`, `udp.addr=127.0.0.1:${port}`, "metrics_addr="];
      const set = [...settings, "announce_interval=5s", "min_announce_interval=2s"].flatMap((one) => [
        "--set",
        one,
      ]);
      const tracker = startProcess("tracker", process.execPath, [main, ...flags, ...set]);
      t.after(() => tracker.stop());
      await waitUntil("the tracker serves", () => {
        assert.equal(tracker.ended, undefined, tracker.output());
        return tracker.output().includes(`udp://127.0.0.1:${port}`);
      });

      const prepare = async (role: Task["role"], user: string): Promise<Task> => {
        const own = join(directory, `${user}.torrent`);
        const transport = over === "udp" ? ["--udp"] : [];
        await chihayaPrivate("announce-url", user, torrent, ...transport, "--out", own, ...flags, ...set);
        const [files, state] = [join(directory, role), join(directory, `${role}-state`)];
        await mkdir(files);
        await mkdir(state);
        return {
          ...{ role, torrent: own, directory: files, state, port: await findFreePort() },
          ...{ family: 4, udp: over === "udp" },
        };
      };
      const seedTask = await prepare("seed", "uploader");
      const downloadTask = await prepare("download", "downloader");
      await writeFile(join(seedTask.directory, "payload.bin"), payload);
      const processes: RunningProcess[] = [];
      const start = async (process: Promise<RunningProcess>) => {
        processes.push(await process);
      };
      const rows = new Database(t, join(site, "private.sqlite"));
      try {
        await start(seed.start(seedTask));
        await waitUntil("the seeder is in the database", () => rows.torrent().seeders === 1);
        await start(download.start(downloadTask));
        const target = join(downloadTask.directory, "payload.bin");
        await waitUntil("the file is the same", async () => (await checksumOf(target)) === checksum);
        await waitUntil("the snatch is in the database", () => rows.torrent().completed === 1);
        for (const process of processes) await process.stop();
        await waitUntil("both have gone", () => rows.torrent().seeders === 0);
        await tracker.stop();
        assert.deepEqual(rows.users(), [
          { name: "uploader", uploaded: payload.length, downloaded: 0 },
          { name: "downloader", uploaded: 0, downloaded: payload.length },
        ]);
      } catch (error) {
        const outputs = [...processes, tracker].map(({ name, output }) => `--- ${name}\n${output()}`);
        throw new Error([(error as Error).message, ...outputs].join("\n"), { cause: error });
      }
    });
  }
});

/** The database of the site, as a program of the site reads it. */
class Database {
  readonly #database: DatabaseSync;

  constructor(t: TestContext, file: string) {
    this.#database = new DatabaseSync(file, { timeout: 5000 });
    t.after(() => this.#database.close());
  }

  torrent(): { seeders: number; completed: number } {
    return this.#database.prepare("SELECT seeders, completed FROM torrents").get() as never;
  }

  users(): unknown[] {
    return this.#database
      .prepare("SELECT name, uploaded, downloaded FROM users ORDER BY id")
      .all()
      .map((row) => ({ ...row }));
  }
}

/** Returns the checksum of a file that has its whole length; undefined before. */
async function checksumOf(file: string): Promise<string | undefined> {
  try {
    if ((await stat(file)).size !== payload.length) return undefined;
    return createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
  } catch {
    return undefined;
  }
}
