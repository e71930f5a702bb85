/**
 * Sends three times the requests that one tracker can serve. Measures how many requests the tracker still serves, whether
 * the health check responds, and how soon latency is back to normal.
 *
 * Usage: node bench/overload.ts [--workload udp|http-close|http-keep-alive] [--seconds 60] [--times 3] [--burners N]
 *                               [--network linux]
 *
 * A load on one processor cannot send three times the requests that a tracker on one processor can serve. Therefore N busy
 * programs share the tracker's processor, and leave the tracker one part in N + 1.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chihaya, type Workload } from "./support/contestants.ts";
import { createLoad, fill, median } from "./support/measure.ts";
import { startProbe } from "./support/probe.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad, serverCores } from "./support/server.ts";

const { values } = parseArgs({
  options: {
    workload: { type: "string", default: "udp" },
    seconds: { type: "string", default: "60" },
    times: { type: "string", default: "3" },
    burners: { type: "string" },
    network: { type: "string", default: "linux" },
  },
});
const workload = values.workload as Workload;
const shape = { torrents: 10_000, peers: 200_000 };
/** Enough that the tracker has work for as long as it waits for its processor. */
const many = { connections: 1000, window: 4096 };

const burner = join(import.meta.dirname, "support/burner.ts");
const command = ["-c", serverCores(1), process.execPath, burner];
const burners = Array.from({ length: Number(values.burners ?? (workload === "udp" ? 3 : 6)) }, () =>
  spawn("taskset", command, { stdio: "ignore" }),
);
process.on("exit", () => {
  for (const child of burners) child.kill("SIGKILL");
});

const contestant = chihaya({ network: values.network === "portable" ? "portable" : "linux", workers: 1 });
const server = await contestant.start(createScratchDirectory(), shape);
pinLoad();
await fill(server, shape);
const load = await createLoad(server, workload, shape, many);
load.run({ seconds: 3 });
const peak = load.run({ seconds: 10 }).rate;
const normal = load.run({ seconds: 5, rate: Math.floor(peak / 3) }).latency.summary();
console.log(`peak ${Math.round(peak)}/s; at a third of it p50 ${normal.p50} µs, p99 ${normal.p99} µs`);

const probe = startProbe(`http://127.0.0.1:${server.ports.metrics}/livez`);
const rssBefore = server.rssMiB();
const over = load.run({ seconds: Number(values.seconds), rate: Math.floor(peak * Number(values.times)) });
const { answers, failures, slowestMs } = await probe.stop();
const offered = over.sent / over.seconds;
console.log(
  `asked for ${Math.round(offered)}/s (${(offered / peak).toFixed(2)} of the peak) for ${over.seconds.toFixed(0)} s: ` +
    `answered ${Math.round(over.rate)}/s, wrong ${over.errors}, ` +
    `memory ${rssBefore.toFixed(0)} to ${server.rssMiB().toFixed(0)} MiB`,
);
console.log(
  `health: ${answers} answers, ${failures} failures, the slowest ${slowestMs.toFixed(0)} ms (at most 1000)`,
);
for (let second = 1; second <= 6; second++) {
  const { latency, lost } = load.run({ seconds: 1, rate: Math.floor(peak / 3) });
  const { p50, p99 } = latency.summary();
  console.log(`${second} s after: p50 ${p50} µs, p99 ${p99} µs, lost ${lost}`);
}
// The speed of the machine changes within a minute, so each overload is compared with the peak just before.
const shares = Array.from({ length: 5 }, () => {
  const { rate } = load.run({ seconds: 10 });
  return (100 * load.run({ seconds: 10, rate: Math.floor(rate * Number(values.times)) }).rate) / rate;
});
const all = shares.map((share) => share.toFixed(0)).join(", ");
console.log(
  `answered of the peak just before: ${median(shares).toFixed(0)} % (at least 90), median of ${all}`,
);
load.close();
await server.stop();
for (const child of burners) child.kill("SIGKILL");
