/**
 * Runs one tracker for a long time at a share of its peak, with changing peers, and logs its memory once a minute.
 *
 * Usage: node bench/soak.ts [--minutes 30] [--share 0.7] [--peers 1000000] [--torrents 10000] [--network linux]
 *
 * Every minute, a twentieth of the peers is replaced. Replaced peers expire after five minutes.
 */
import { parseArgs } from "node:util";
import { chihaya } from "./support/contestants.ts";
import { createLoad, fill, median } from "./support/measure.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad } from "./support/server.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    share: { type: "string", default: "0.7" },
    peers: { type: "string", default: "1000000" },
    torrents: { type: "string", default: "10000" },
    network: { type: "string", default: "linux" },
  },
});
const shape = { torrents: Number(values.torrents), peers: Number(values.peers) };
const minutes = Number(values.minutes);
/** Minutes until as many peers expire as arrive, and a few more. */
const warmUp = Math.min(8, Math.floor(minutes / 2));

pinLoad();
const contestant = chihaya({
  network: values.network === "portable" ? "portable" : "linux",
  workers: 1,
  settings: "  announce_interval: 1m\n  min_announce_interval: 30s",
  storage: "      peer_lifetime: 5m\n      gc_interval: 30s",
});
const server = await contestant.start(createScratchDirectory(), shape);
await fill(server, shape);
const load = await createLoad(server, "udp", shape);
load.run({ seconds: 2 });
// A shared machine may be fast for only some seconds.
const peak = median(Array.from({ length: 9 }, () => load.run({ seconds: 3 }).rate));
const rate = Math.floor(peak * Number(values.share));
console.log(`peak ${Math.round(peak)}/s, rate ${rate}/s`);

let lost = 0;
let errors = 0;
const memory: number[] = [];
for (let minute = 1; minute <= minutes; minute++) {
  const from = Math.floor((minute * shape.peers) / 20);
  const result = load.run({ seconds: 60, rate, from });
  lost += result.lost;
  errors += result.errors;
  memory.push(server.rssMiB());
  const { p50, p99, p999 } = result.latency.summary();
  console.log(
    `minute ${minute}: ${server.rssMiB().toFixed(1)} MiB, ${await server.metric("chihaya_storage_peers")} peers, ` +
      `${Math.round(result.rate)}/s, lost ${result.lost}, wrong ${result.errors}, p50 ${p50} p99 ${p99} p99.9 ${p999} µs`,
  );
}
load.close();
const settled = memory.slice(warmUp);
const growth = settled.at(-1)! - settled[0]!;
console.log(
  `after ${warmUp} minutes: from ${settled[0]!.toFixed(1)} to ${settled.at(-1)!.toFixed(1)} MiB (${growth.toFixed(1)}), ` +
    `least ${Math.min(...settled).toFixed(1)}, most ${Math.max(...settled).toFixed(1)}; lost ${lost}, wrong ${errors}`,
);
await server.stop();
