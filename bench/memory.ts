/**
 * Measures the resident memory of the tracker's process, empty and with many peers. Runs the sources and, after
 * `npm run build`, also the built package.
 *
 * Usage: node bench/memory.ts [peers torrents]...   (default: 2,000,000 IPv4 peers, 430,000 torrents)
 * Swarms are skewed, as on public trackers. Some torrents get no peers; the output counts the torrents with peers.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { chihaya } from "./support/contestants.ts";
import { fill } from "./support/measure.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad } from "./support/server.ts";

/** Time after which the process has returned temporary memory. */
const settleMs = 5000;

const shapes = process.argv.slice(2).map(Number);
if (shapes.length === 0) shapes.push(2_000_000, 430_000);
const mains = ["src/cli/main.ts", "dist/cli/main.js"].filter((main) =>
  existsSync(join(import.meta.dirname, "..", main)),
);
const directory = createScratchDirectory();
pinLoad();
console.log("| from | peers | torrents with peers | empty process | with peers | bytes a peer above empty |");
console.log("|---|---:|---:|---:|---:|---:|");
for (let i = 0; i + 1 < shapes.length; i += 2) {
  const shape = { peers: shapes[i]!, torrents: shapes[i + 1]! };
  for (const main of mains) {
    const server = await chihaya({ network: "linux", workers: 1, main }).start(directory, shape);
    await wait(settleMs);
    const empty = server.rssMiB();
    await fill(server, shape);
    await wait(settleMs);
    const full = server.rssMiB();
    const peers = await server.metric("chihaya_storage_peers");
    const torrents = await server.metric("chihaya_storage_infohashes_count");
    await server.stop();
    const each = (((full - empty) * 2 ** 20) / peers).toFixed(1);
    const counts = [peers, torrents].map((count) => count.toLocaleString("en-US"));
    const row = [main.split("/")[0], ...counts, `${empty.toFixed(1)} MiB`, `${full.toFixed(1)} MiB`, each];
    console.log(`| ${row.join(" | ")} |`);
  }
}
