/**
 * Runs one tracker for a long time at a share of its peak, with changing peers, and logs its memory once a minute.
 *
 * Usage: node bench/soak.ts [--minutes 30] [--share 0.7] [--peers 1000000] [--torrents 10000] [--network linux]
 *        node bench/soak.ts --websocket [--minutes 30] [--share 0.5] [--peers 5000] [--torrents 500] [--network linux]
 *
 * Over UDP, every minute a twentieth of the peers is replaced. Replaced peers expire after five minutes.
 *
 * Over WebSocket, each peer makes three announces with 5 offers, answers the offers of others, and leaves, every other one
 * without saying so; then it returns with another socket. At the end all peers leave, and the tracker must have no socket and no
 * peer left.
 */
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Load } from "../src/load/load.ts";
import type { PopulationShape } from "../src/load/population.ts";
import { WebSocketLoad } from "../src/load/websocket-load.ts";
import { chihaya } from "./support/contestants.ts";
import { createLoad, fill, median } from "./support/measure.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad, type Server } from "./support/server.ts";

const { values } = parseArgs({
  options: {
    websocket: { type: "boolean", default: false },
    minutes: { type: "string", default: "30" },
    share: { type: "string" },
    peers: { type: "string" },
    torrents: { type: "string" },
    network: { type: "string", default: "linux" },
  },
});
const isWeb = values.websocket;
const shape = {
  torrents: Number(values.torrents ?? (isWeb ? 500 : 10_000)),
  peers: Number(values.peers ?? (isWeb ? 5000 : 1_000_000)),
};
const share = Number(values.share ?? (isWeb ? 0.5 : 0.7));
const minutes = Number(values.minutes);
/** Minutes until as many peers expire as arrive, and a few more. */
const warmUp = Math.min(8, Math.floor(minutes / 2));
/** Announces of a WebSocket. */
const life = 3;
/** Seconds in which the tracker notices that all sockets are closed. */
const closingSeconds = 10;

pinLoad();
const contestant = chihaya({
  network: values.network === "portable" ? "portable" : "linux",
  workers: 1,
  settings:
    "  announce_interval: 1m\n  min_announce_interval: 30s" +
    (isWeb ? `\n  websocket:\n    max_connections: ${2 * shape.peers}` : ""),
  storage: "      peer_lifetime: 5m\n      gc_interval: 30s",
});
const server = await contestant.start(createScratchDirectory(), shape);
const load = await begin(server, shape);
load.run({ seconds: 2 });
// A shared machine may be fast for only some seconds.
const peak = median(Array.from({ length: 9 }, () => load.run({ seconds: 3 }).rate));
const rate = Math.floor(peak * share);
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
  const relayed = isWeb ? `${result.offers} offers, ${result.answers} answers, ` : "";
  const sockets = isWeb ? `${await server.metric("chihaya_web_sockets")} sockets, ` : "";
  console.log(
    `minute ${minute}: ${server.rssMiB().toFixed(1)} MiB, ${sockets}${await server.metric("chihaya_storage_peers")} peers, ` +
      `${Math.round(result.rate)}/s, ${relayed}lost ${result.lost}, wrong ${result.errors}, ` +
      `p50 ${p50} p99 ${p99} p99.9 ${p999} µs`,
  );
}
load.close();
const settled = memory.slice(warmUp);
const growth = settled.at(-1)! - settled[0]!;
console.log(
  `after ${warmUp} minutes: from ${settled[0]!.toFixed(1)} to ${settled.at(-1)!.toFixed(1)} MiB (${growth.toFixed(1)}), ` +
    `least ${Math.min(...settled).toFixed(1)}, most ${Math.max(...settled).toFixed(1)}; lost ${lost}, wrong ${errors}`,
);
if (isWeb) await checkEmpty(server);
await server.stop();

/** Announces all peers. */
async function begin(server: Server, shape: PopulationShape): Promise<Load> {
  if (!isWeb) {
    await fill(server, shape);
    return createLoad(server, "udp", shape);
  }
  const { http: port } = server.ports;
  const load = await WebSocketLoad.create({ host: "127.0.0.1", port, numWant: 0, ...shape, offers: 5, life });
  load.fill();
  return load;
}

/** Logs what the tracker has left after all sockets were closed. */
async function checkEmpty(server: Server): Promise<void> {
  const left = async () => {
    const sockets = await server.metric("chihaya_web_sockets");
    return { sockets, peers: await server.metric("chihaya_storage_peers") };
  };
  for (let i = 0; i < closingSeconds && (await left()).sockets > 0; i++) await wait(1000);
  const { sockets, peers } = await left();
  console.log(`at the end: ${sockets} sockets, ${peers} peers, ${server.rssMiB().toFixed(1)} MiB`);
  if (sockets > 0 || peers > 0) process.exitCode = 1;
}
