/**
 * Measures how the tracker treats normal clients beside slow ones.
 *
 * - Over HTTP: the latency of announces beside thousands of connections that send nothing or half a request.
 * - Over WebSocket: latency, losses and memory beside thousands of sockets that announce once and then never read, while the
 *   announces of others relay offers to them. Sockets that the tracker closes are opened again.
 *
 * Usage: node bench/slow-clients.ts [--clients 5000] [--rate 1000] [--seconds 5] [--rounds 5] [--network linux]
 *        node bench/slow-clients.ts --websocket [--clients 1000] [--rate 500] [--seconds 60] [--network linux]
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { LoadResult } from "../src/load/load.ts";
import { WebSocketLoad } from "../src/load/websocket-load.ts";
import { chihaya, type Workload } from "./support/contestants.ts";
import { createLoad, fill, median } from "./support/measure.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad, type Server } from "./support/server.ts";
import { SilentSockets } from "./support/silent-sockets.ts";

const { values } = parseArgs({
  options: {
    websocket: { type: "boolean", default: false },
    clients: { type: "string" },
    rate: { type: "string" },
    seconds: { type: "string" },
    rounds: { type: "string", default: "5" },
    network: { type: "string", default: "linux" },
  },
});
const clients = Number(values.clients ?? (values.websocket ? 1000 : 5000));
const rate = Number(values.rate ?? (values.websocket ? 500 : 1000));
const seconds = Number(values.seconds ?? (values.websocket ? 60 : 5));
const shape = { torrents: 1000, peers: 50_000 };
const workloads: readonly Workload[] = ["http-keep-alive", "http-close"];
/** The swarm of the WebSockets. */
const swarm = { torrents: 1, peers: 1000 };
/** Seconds between two looks at the sockets that never read. */
const stepSeconds = 5;

pinLoad();
const contestant = chihaya({
  network: values.network === "portable" ? "portable" : "linux",
  workers: 1,
  // Long timeouts, so that the slow connections stay open during the measurement.
  http: "    read_timeout: 10m\n    idle_timeout: 10m",
  settings: "  websocket: {}",
});
const server = await contestant.start(createScratchDirectory(), shape);
if (values.websocket) await measureSilent(server);
else {
  await fill(server, shape);
  for (const workload of workloads) await compare(server, workload);
}
await server.stop();

async function compare(server: Server, workload: Workload): Promise<void> {
  const load = await createLoad(server, workload, shape);
  load.run({ seconds: 2 });
  const p99: { without: number[]; beside: number[] } = { without: [], beside: [] };
  const run = () => load.run({ seconds, rate });
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

async function measureSilent(server: Server): Promise<void> {
  const { http: port } = server.ports;
  const load = await WebSocketLoad.create({ host: "127.0.0.1", port, numWant: 0, ...swarm, offers: 10 });
  load.fill();
  load.run({ seconds: 2, rate });
  const run = () => load.run({ seconds: stepSeconds, rate });
  const report = async (what: string, { announces, offers, answers, lost, errors, latency }: LoadResult) => {
    const { p50, p99 } = latency.summary();
    const closed = await server.metric("chihaya_web_slow_total");
    console.log(
      `${what}: ${server.rssMiB().toFixed(1)} MiB, ${announces} announces, lost ${lost}, wrong ${errors}, ` +
        `offers ${offers}, answers ${answers}, p50 ${p50} p99 ${p99} µs; closed as slow ${closed}`,
    );
    return p99;
  };
  const without: number[] = [];
  for (let i = 0; i < 3; i++) without.push(await report("without", run()));

  const silent = await SilentSockets.create(port, swarm, clients);
  const beside: number[] = [];
  const memory: number[] = [];
  let lost = 0;
  for (let at = 0; at < seconds; at += stepSeconds) {
    const opened = silent.open();
    const result = run();
    lost += result.lost + result.errors;
    beside.push(await report(`second ${at + stepSeconds}, ${opened} opened`, result));
    memory.push(server.rssMiB());
  }
  silent.close();
  for (let i = 0; i < 3; i++) without.push(await report("after", run()));
  load.close();
  const [alone, together] = [median(without), median(beside)];
  console.log(
    `p99 ${alone} µs without, ${together} µs beside ${clients}: ${(together / alone).toFixed(2)}; lost ${lost}; ` +
      `memory at most ${Math.max(...memory).toFixed(1)} MiB, ${server.rssMiB().toFixed(1)} MiB afterwards`,
  );
}
