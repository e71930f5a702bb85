/**
 * Real clients share a real file through a tracker of this project, over the loopback interface and by its peer lists
 * alone: torrents are private, DHT, local discovery and peer exchange are off.
 *
 * A missing client skips its pairings; with CHIHAYA_REQUIRE_CLIENTS=1 it fails them.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { scrape } from "../../src/client/tracker-client.ts";
import { clientsRequired } from "../support/clients-required.ts";
import { anacrolix } from "./clients/anacrolix.ts";
import { aria2 } from "./clients/aria2.ts";
import type { Task, TorrentClient } from "./clients/client.ts";
import { deluge } from "./clients/deluge.ts";
import { libtorrent } from "./clients/libtorrent.ts";
import { qbittorrent } from "./clients/qbittorrent.ts";
import { rtorrent } from "./clients/rtorrent.ts";
import { transmission } from "./clients/transmission.ts";
import { webtorrent } from "./clients/webtorrent.ts";
import { areConnected } from "./connections.ts";
import { findFreePort, hasIPv6 } from "./ports.ts";
import { canRun, type RunningProcess } from "./process.ts";
import { createPayload, createTorrent, hashPieces } from "./torrent.ts";
import { startTracker, type TestTracker, type Transport } from "./tracker.ts";
import { patienceMs, waitUntil } from "./wait-until.ts";

/**
 * Who seeds to whom, over what. Left out is what the clients themselves cannot do: transmission never dials a
 * loopback address and a seeding aria2 never dials at all, aria2 and webtorrent have no UDP trackers over IPv6, rtorrent
 * has no trackers over IPv6 at all.
 */
const pairings: readonly { seed: TorrentClient; download: TorrentClient; over: readonly Transport[] }[] = [
  { seed: libtorrent, download: libtorrent, over: ["http4", "udp4", "http6", "udp6"] },
  { seed: libtorrent, download: aria2, over: ["http4", "udp4", "http6"] },
  { seed: aria2, download: libtorrent, over: ["http4", "udp4", "http6"] },
  { seed: libtorrent, download: transmission, over: ["http4", "udp4"] },
  { seed: transmission, download: libtorrent, over: ["http4", "udp4"] },
  { seed: transmission, download: aria2, over: ["http4", "udp4"] },
  { seed: aria2, download: aria2, over: ["http4", "udp4"] },
  { seed: webtorrent, download: libtorrent, over: ["http4", "udp4"] },
  { seed: libtorrent, download: webtorrent, over: ["http4", "udp4"] },
  { seed: anacrolix, download: libtorrent, over: ["http4", "udp4"] },
  { seed: libtorrent, download: anacrolix, over: ["http4", "udp4"] },
  // here nobody calls anacrolix: it has to find its peer in the response to its first announce
  { seed: aria2, download: anacrolix, over: ["http4", "udp4"] },
  { seed: rtorrent, download: libtorrent, over: ["http4", "udp4"] },
  { seed: libtorrent, download: rtorrent, over: ["http4", "udp4"] },
  { seed: qbittorrent, download: libtorrent, over: ["http4", "udp4"] },
  { seed: libtorrent, download: qbittorrent, over: ["http4", "udp4"] },
  { seed: deluge, download: libtorrent, over: ["http4", "udp4"] },
  { seed: libtorrent, download: deluge, over: ["http4", "udp4"] },
];

const payload = createPayload(20 * 1024 * 1024 + 12_345);
const checksum = sha256(payload);
const pieces = hashPieces(payload);

const installed = new Map<TorrentClient, boolean>();
for (const client of new Set(pairings.flatMap(({ seed, download }) => [seed, download]))) {
  installed.set(client, await client.isInstalled());
}

/** Clients that are not required: there is no program here that could install them. */
const optional = new Set<TorrentClient>((await canRun("go", ["version"])) ? [] : [anacrolix]);

/** Why a pairing cannot be tried here, or false. */
function missing(seed: TorrentClient, download: TorrentClient, over: Transport): string | false {
  for (const client of [seed, download]) {
    if (!installed.get(client)) return `${client.name} is not installed (${client.package})`;
  }
  return over.endsWith("6") && !hasIPv6() ? "there is no IPv6 on the loopback interface" : false;
}

describe("real clients", { concurrency: 2 }, () => {
  let directory: string;
  let tracker: TestTracker;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "chihaya-e2e-"));
    tracker = await startTracker(directory);
  });
  after(async () => {
    await tracker?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  for (const { seed, download, over: transports } of pairings) {
    for (const over of transports) {
      const reason = missing(seed, download, over);
      const skip =
        clientsRequired && ![seed, download].some((client) => optional.has(client)) ? false : reason;
      it(`${seed.name} to ${download.name} over ${over}`, { skip }, async (t) => {
        assert.ok(!reason, String(reason));
        t.diagnostic(await transfer(seed, download, over));
      });
    }
  }

  /** Has a file go from one client to the other. @returns how long the later one waited for its first peer */
  async function transfer(seed: TorrentClient, download: TorrentClient, over: Transport): Promise<string> {
    const url = tracker.url(over);
    const name = `${seed.name}-${download.name}-${over}`;
    const { infoHash, bytes } = createTorrent(`${name}.bin`, url, { length: payload.length, pieces });
    const home = join(directory, name);
    const torrent = join(home, "payload.torrent");
    const prepare = async (role: Task["role"]): Promise<Task> => {
      const files = join(home, role);
      const state = join(home, `${role}-state`);
      await mkdir(files, { recursive: true });
      await mkdir(state);
      const port = await findFreePort();
      return {
        role,
        torrent,
        directory: files,
        state,
        port,
        family: over.endsWith("6") ? 6 : 4,
        udp: over.startsWith("udp"),
      };
    };
    const seedTask = await prepare("seed");
    const downloadTask = await prepare("download");
    await writeFile(torrent, bytes);
    await writeFile(join(seedTask.directory, `${name}.bin`), payload);
    const file = join(downloadTask.directory, `${name}.bin`);

    const processes: RunningProcess[] = [];
    let stopping = false;
    const stopAll = async () => {
      stopping = true;
      await Promise.all(processes.map((process) => process.stop()));
    };
    const start = async (client: TorrentClient, task: Task) => {
      const process = await client.start(task);
      processes.push(process);
    };
    const counts = async () => {
      for (const process of processes) {
        if (process.ended !== undefined && !stopping) {
          throw new Error(`${process.name} ended with ${process.ended}`);
        }
      }
      const [swarm] = await scrape(url, [infoHash]);
      return swarm ?? { complete: 0, incomplete: 0, downloaded: 0 };
    };
    const isSeeding = async () => (await counts()).complete >= 1;
    const isDownloading = async () => (await counts()).incomplete >= 1;
    /** Waits for the announce of the later client, and for its connection to the other. */
    const measureFirstPeer = async (): Promise<string> => {
      const ports = [seedTask.port, downloadTask.port];
      const began = performance.now();
      const seconds = (from: number) => `${((performance.now() - from) / 1000).toFixed(1)} s`;
      let announced: number | undefined;
      while (!stopping && performance.now() - began < patienceMs) {
        const { complete, incomplete } = await counts();
        if (complete + incomplete === 2) announced ??= performance.now();
        const [first, second] = processes.map(({ pid }) => pid);
        // clients that are done with each other have no connection any more
        if (complete === 2 || (second !== undefined && (await areConnected(first!, second, ports))))
          return `first peer ${seconds(announced ?? began)} after the announce, ${seconds(began)} after the start`;
        await wait(50);
      }
      throw new Error(`no connection between the clients within ${patienceMs / 1000} s`);
    };
    try {
      // transmission takes connections and makes none, so it is the earlier one
      const isReversed = download === transmission;
      const [earlier, later] = isReversed ? [download, seed] : [seed, download];
      await start(earlier, isReversed ? downloadTask : seedTask);
      if (isReversed) await waitUntil("the tracker counts the leecher", isDownloading);
      else await waitUntil("the tracker counts the seeder", isSeeding);
      const [firstPeer] = await Promise.all([
        measureFirstPeer(),
        start(later, isReversed ? seedTask : downloadTask),
      ]);
      await waitUntil("the file is the same", async () => (await checksumOf(file)) === checksum);
      await waitUntil("the tracker counts the download", async () => {
        const { complete, downloaded = 0 } = await counts();
        return complete === 2 && downloaded >= 1;
      });
      await stopAll();
      const protocol = over.startsWith("udp") ? "udp" : "http";
      if (![seed, download].some(({ leavesSilently }) => leavesSilently?.[protocol])) {
        await waitUntil("the tracker counts nobody", async () => {
          const { complete, incomplete } = await counts();
          return complete === 0 && incomplete === 0;
        });
      }
      return firstPeer;
    } catch (error) {
      const outputs = processes.map((process) => `--- ${process.name}\n${process.output()}`);
      throw new Error([(error as Error).message, ...outputs, `--- tracker\n${tracker.output()}`].join("\n"), {
        cause: error,
      });
    } finally {
      await stopAll();
      await rm(home, { recursive: true, force: true });
    }
  }
});

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The checksum of a file that has the payload's length. */
async function checksumOf(path: string): Promise<string | undefined> {
  const { size } = await stat(path).catch(() => ({ size: -1 })); // there may be none yet
  return size === payload.length ? sha256(await readFile(path)) : undefined;
}
