/**
 * Resident memory of a whole tracker process, empty and with many peers in its store: from the sources and, where
 * `npm run build` has been run, from the built package.
 *
 * Usage: node bench/memory.ts [peers torrents]...   (default: 2,000,000 IPv4 peers in 430,000 torrents)
 * Swarms are skewed: 1.4 % of the torrents hold 73 % of the peers.
 */
import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createRandom } from "../src/bittorrent/clock.ts";
import type { PeerStore } from "../src/storage/peer-store.ts";
import { Announcer, hotShare, hotTorrents } from "./support/announcer.ts";

/** What a child reports. */
interface Figures {
  peers: number;
  emptyBytes: number;
  fullBytes: number;
}

const [, , first, ...rest] = process.argv;
if (first === "child") await child(rest[0]!, Number(rest[1]), Number(rest[2]));
else await compare([first, ...rest].flatMap((text) => (text === undefined ? [] : [Number(text)])));

async function compare(shapes: number[]): Promise<void> {
  if (shapes.length === 0) shapes.push(2_000_000, 430_000);
  const roots = ["src", "dist"].filter((root) => existsSync(new URL(`../${root}/cli`, import.meta.url)));
  console.log("| from | peers | torrents | empty process | with peers | bytes a peer above empty |");
  console.log("|---|---|---|---|---|---|");
  for (let i = 0; i + 1 < shapes.length; i += 2) {
    for (const root of roots) {
      const [peers, torrents] = [shapes[i]!, shapes[i + 1]!];
      const process = fork(import.meta.filename, ["child", root, `${peers}`, `${torrents}`], {
        stdio: ["ignore", "ignore", "ignore", "ipc"], // the tracker's log
      });
      const figures = await new Promise<Figures>((resolve, reject) => {
        process.once("message", resolve as (message: unknown) => void);
        process.once("exit", () => reject(new Error("the tracker has ended")));
      });
      process.kill();
      const { emptyBytes, fullBytes } = figures;
      const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
      const each = ((fullBytes - emptyBytes) / figures.peers).toFixed(1);
      const row = [root, figures.peers, torrents, mib(emptyBytes), mib(fullBytes), each];
      console.log(`| ${row.join(" | ")} |`);
    }
  }
}

/** Runs the command as it is, and fills the store that it has made. */
async function child(root: string, peers: number, torrents: number): Promise<void> {
  const extension = root === "src" ? "ts" : "js";
  const load = (path: string) => import(`../${root}/${path}.${extension}`);
  const { MemoryStore } = (await load("storage/memory/memory-store")) as typeof import("../src/index.ts");
  const { run } = (await load("cli/commands/serve")) as typeof import("../src/cli/commands/serve.ts");
  const started = Promise.withResolvers<PeerStore>();
  const { start } = MemoryStore.prototype;
  MemoryStore.prototype.start = function () {
    started.resolve(this);
    start.call(this);
  };
  const addresses = ["http.addr", "udp.addr", "metrics_addr"].map((name) => `--set=${name}=127.0.0.1:0`);
  const capacity = `--set=storage.config.max_peers=${Math.max(16_000_000, peers)}`;
  void run([...addresses, capacity, "--set=workers=1"]); // the store of this thread, not of a worker

  const store = await started.promise;
  const emptyBytes = await residentBytes();
  const announcer = new Announcer(0);
  const random = createRandom(1);
  const hot = hotTorrents(torrents);
  for (let i = 0; i < peers; i++) {
    // Each torrent has a peer; the others go where the skew wants them.
    const isHot = i >= torrents && random.next() / 2 ** 32 < (hotShare * peers - hot) / (peers - torrents);
    announcer.torrent(
      i < torrents ? i : isHot ? random.next() % hot : hot + (random.next() % (torrents - hot)),
    );
    announcer.peer(i);
    const waiting = announcer.apply(store);
    if (waiting) await waiting;
  }
  const { peers4 } = await store.statistics();
  process.send!({ peers: peers4, emptyBytes, fullBytes: await residentBytes() } satisfies Figures);
}

/** Resident memory when garbage is gone and what was started has settled. */
async function residentBytes(): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    collect();
  }
  return process.memoryUsage.rss();
}
