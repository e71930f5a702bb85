/**
 * Measures latency while millions of peers expire. The tracker first gets peers that announce only once. Other peers then
 * announce at a fixed rate until the first ones have expired. Seconds with expiry are compared with the seconds before.
 *
 * Usage: node bench/expiry.ts [--peers 10000000] [--rate 10000] [--lifetime 300] [--network linux]
 *
 * The lifetime, in seconds, must be longer than filling the tracker takes, by a minute or more.
 */
import { parseArgs } from "node:util";
import { Histogram } from "../src/load/histogram.ts";
import { chihaya } from "./support/contestants.ts";
import { createLoad, fill } from "./support/measure.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad } from "./support/server.ts";

const { values } = parseArgs({
  options: {
    peers: { type: "string", default: "10000000" },
    rate: { type: "string", default: "10000" },
    lifetime: { type: "string", default: "300" },
    network: { type: "string", default: "linux" },
  },
});
const peers = Number(values.peers);
const lifetime = Number(values.lifetime);
const torrents = Math.ceil(peers / 5);
const activePeers = 100_000;
const sliceSeconds = 5;

pinLoad();
const contestant = chihaya({
  network: values.network === "portable" ? "portable" : "linux",
  workers: 1,
  settings: "  announce_interval: 1m\n  min_announce_interval: 30s",
  storage: `      peer_lifetime: ${lifetime}s\n      gc_interval: 30s`,
});
const server = await contestant.start(createScratchDirectory(), { torrents, peers });
const started = performance.now();
const filled = await fill(server, { torrents, peers });
console.log(`${filled.announces} peers in ${filled.seconds.toFixed(0)} s, ${server.rssMiB().toFixed(0)} MiB`);

const load = await createLoad(server, "udp", { torrents, peers: activePeers });
load.run({ seconds: 2, from: peers });
const quiet = new Histogram();
const during = new Histogram();
let quietLag = 0;
let duringLag = 0;
let stored = await server.metric("chihaya_storage_peers");
await server.metric("nodejs_eventloop_lag_max_seconds"); // the first request starts the measurement
const end = started + (2 * lifetime + filled.seconds + 120) * 1000;
while (performance.now() < end && (stored > 2 * activePeers || during.count === 0)) {
  const { latency, lost, errors } = load.run({
    seconds: sliceSeconds,
    rate: Number(values.rate),
    from: peers,
  });
  const lag = await server.metric("nodejs_eventloop_lag_max_seconds");
  const before = stored;
  stored = await server.metric("chihaya_storage_peers");
  const isExpiring = stored < before;
  (isExpiring ? during : quiet).add(latency);
  if (isExpiring) duringLag = Math.max(duringLag, lag);
  else quietLag = Math.max(quietLag, lag);
  const { p50, p99, p999, max } = latency.summary();
  console.log(
    `${((performance.now() - started) / 1000).toFixed(0)} s: ${stored} peers, p50 ${p50} p99 ${p99} p99.9 ${p999} ` +
      `most ${max} µs, loop ${(lag * 1000).toFixed(1)} ms, lost ${lost}, wrong ${errors}`,
  );
}
load.close();
const line = (name: string, { p50, p99, p999, max }: ReturnType<Histogram["summary"]>, lag: number) =>
  console.log(
    `${name}: p50 ${p50} µs, p99 ${p99} µs, p99.9 ${p999} µs, most ${max} µs, loop at most ${(lag * 1000).toFixed(1)} ms late`,
  );
line("without expiry", quiet.summary(), quietLag);
line("with expiry", during.summary(), duringLag);
console.log(
  `p99.9 with / without: ${(during.percentile(0.999) / quiet.percentile(0.999)).toFixed(2)}, at most 2`,
);
await server.stop();
