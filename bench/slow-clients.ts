/**
 * Measures the latency of normal announces over HTTP beside thousands of connections that send nothing or half a request.
 *
 * Usage: node bench/slow-clients.ts [--clients 5000] [--rate 1000] [--seconds 5] [--rounds 5] [--network linux]
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { chihaya, type Workload } from "./support/contestants.ts";
import { createLoad, fill, median } from "./support/measure.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad, type Server } from "./support/server.ts";

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "5000" },
    rate: { type: "string", default: "1000" },
    seconds: { type: "string", default: "5" },
    rounds: { type: "string", default: "5" },
    network: { type: "string", default: "linux" },
  },
});
const clients = Number(values.clients);
const shape = { torrents: 1000, peers: 50_000 };
const workloads: readonly Workload[] = ["http-keep-alive", "http-close"];

pinLoad();
const contestant = chihaya({
  network: values.network === "portable" ? "portable" : "linux",
  workers: 1,
  // Long timeouts, so that the slow connections stay open during the measurement.
  http: "    read_timeout: 10m\n    idle_timeout: 10m",
});
const server = await contestant.start(createScratchDirectory(), shape);
await fill(server, shape);
for (const workload of workloads) await compare(server, workload);
await server.stop();

async function compare(server: Server, workload: Workload): Promise<void> {
  const load = await createLoad(server, workload, shape);
  load.run({ seconds: 2 });
  const p99: { without: number[]; beside: number[] } = { without: [], beside: [] };
  const run = () => load.run({ seconds: Number(values.seconds), rate: Number(values.rate) });
  for (let round = 0; round < Number(values.rounds); round++) {
    p99.without.push(run().latency.percentile(0.99));
    const slow = await openSlow(server.ports.http);
    const open = await server.metric("chihaya_http_connections");
    const { latency, lost, errors } = run();
    p99.beside.push(latency.percentile(0.99));
    console.log(
      `${workload}: p99 ${p99.without.at(-1)} µs, beside ${open} open connections ${p99.beside.at(-1)} µs, ` +
        `lost ${lost}, wrong ${errors}`,
    );
    for (const socket of slow) socket.destroy();
    await wait(1000);
  }
  load.close();
  const [without, beside] = [median(p99.without), median(p99.beside)];
  console.log(
    `${workload}: p99 ${without} µs without, ${beside} µs beside ${clients}: ${(beside / without).toFixed(2)}, at most 2`,
  );
}

/** Opens connections from many addresses. Every other connection sends half a request; the others send nothing. */
async function openSlow(port: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let i = 0; i < clients; i++) {
    const localAddress = `127.2.${i % 16}.${1 + (i % 200)}`;
    const socket = connect({ host: "127.0.0.1", port, localAddress });
    socket.on("error", () => {});
    sockets.push(socket);
    if (i % 100 === 99) await Promise.all(sockets.slice(-100).map((each) => once(each, "connect")));
  }
  for (let i = 0; i < clients; i += 2) sockets[i]!.write("GET /announce?info_hash=%12%34");
  // The kernel passes silent connections to the server only after some seconds.
  for (let i = 0; i < 20 && (await server.metric("chihaya_http_connections")) < clients; i++) await wait(500);
  return sockets;
}
