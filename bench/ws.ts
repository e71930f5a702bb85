/**
 * Measures what browsers cost over WebSocket, beside bittorrent-tracker: the CPU of an announce with 5 and with 10 offers, the
 * CPU of a relayed answer, the memory of a peer that is connected and announced, and UDP beside idle sockets. Runs each
 * contestant in turn, round by round; figures are medians.
 *
 * Usage: node bench/ws.ts [--rounds 3] [--seconds 4] [--rates 300,0] [--offers 5,10] [--only NAME] [--cpu] [--memory] [--idle]
 *   [--sockets 19000]
 * Rate 0 is as fast as the tracker responds. Without --cpu, --memory and --idle, all are measured. A tracker needs a descriptor
 * for each socket: check `ulimit -n`.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { UdpLoad } from "../src/load/udp-load.ts";
import { WebSocketLoad } from "../src/load/websocket-load.ts";
import { findFreePort } from "../test/e2e/ports.ts";
import { chihaya } from "./support/contestants.ts";
import { IdleSockets } from "./support/idle-sockets.ts";
import { median } from "./support/measure.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad, Server } from "./support/server.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "4" },
    rates: { type: "string", default: "300,0" },
    offers: { type: "string", default: "5,10" },
    sockets: { type: "string", default: "19000" },
    only: { type: "string" },
    cpu: { type: "boolean", default: false },
    memory: { type: "boolean", default: false },
    idle: { type: "boolean", default: false },
  },
});
const seconds = Number(values.seconds);
const sockets = Number(values.sockets);
const rounds = Number(values.rounds);
const all = !values.cpu && !values.memory && !values.idle;

/** One swarm: as many peers as bittorrent-tracker keeps in a swarm, so that nobody's cache evicts peers. */
const swarm = { torrents: 1, peers: 1000 };
/** Many swarms, of ten peers on average. */
const swarms = { torrents: Math.ceil(sockets / 10), peers: sockets };
/** Seconds of load before a measurement, as fast as the tracker responds: its code is compiled then. */
const warmUpSeconds = 2;
/** Time after which a process has returned temporary memory. */
const settleMs = 5000;
/** UDP announces a second beside idle sockets. */
const udpRate = 1000;

interface Contestant {
  name: string;
  isOwn: boolean;
  start(directory: string): Promise<Server>;
}

function own(workers: number): Contestant {
  const settings = `  websocket:\n    max_connections: ${sockets + 500}\n    max_offers: 20`;
  // The tracker divides its descriptors between HTTP and WebSocket.
  const http = "    max_connections: 256";
  const { name, start } = chihaya({ network: "linux", workers, settings, http });
  return { name, isOwn: true, start: (directory) => start(directory, swarm) };
}

const require = createRequire(import.meta.url);
const version = (name: string) =>
  (require(join("..", "node_modules", name, "package.json")) as { version: string }).version;

const bittorrentTracker: Contestant = {
  name: `bittorrent-tracker ${version("bittorrent-tracker")}, ws ${version("ws")}`,
  isOwn: false,
  async start(directory) {
    const port = await findFreePort();
    const command = join(dirname(fileURLToPath(import.meta.resolve("bittorrent-tracker"))), "bin/cmd.js");
    const args = ["--ws", "--silent", "--port", `${port}`, "--http-hostname", "127.0.0.1"];
    const ports = { udp: port, http: port, metrics: port };
    const server = new Server([process.execPath, command, ...args], ports, directory, 1);
    return server.ready(async () => (await fetch(`http://127.0.0.1:${port}/`)).status > 0);
  },
};

const contestants = [own(1), own(2), bittorrentTracker].filter(({ name }) =>
  name.includes(values.only ?? ""),
);
const directory = createScratchDirectory();
pinLoad();
if (all || values.cpu) await measureCpu();
if (all || values.memory) await measureMemory();
if (all || values.idle) await measureIdle();

interface Cost {
  announce: number[];
  answer: number[];
  offersRelayed: number[];
  rate: number[];
  busy: number[];
  p50: number[];
  p99: number[];
  lost: number;
}

async function measureCpu(): Promise<void> {
  const columns = ["announces/s", "offers", "", "CPU µs an announce", "offers relayed", "CPU µs an answer"];
  console.log(`| ${[...columns, "busy", "p50 µs", "p99 µs", "lost"].join(" | ")} |`);
  console.log("| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
  for (const rate of values.rates.split(",").map(Number)) {
    for (const offers of values.offers.split(",").map(Number)) await compare(rate, offers);
  }
}

async function compare(rate: number, offers: number): Promise<void> {
  const costs = contestants.map((): Cost => {
    return { announce: [], answer: [], offersRelayed: [], rate: [], busy: [], p50: [], p99: [], lost: 0 };
  });
  for (let round = 0; round < rounds; round++) {
    for (const [i, contestant] of contestants.entries()) await measure(contestant, rate, offers, costs[i]!);
  }
  for (const [i, { name }] of contestants.entries()) {
    const cost = costs[i]!;
    const number = (figures: readonly number[], digits: number) =>
      figures.length === 0 ? "–" : median(figures).toLocaleString("en-US", { maximumFractionDigits: digits });
    const figures = [number(cost.announce, 1), number(cost.offersRelayed, 1), number(cost.answer, 1)];
    const rest = [number(cost.busy, 2), number(cost.p50, 0), number(cost.p99, 0), cost.lost];
    console.log(`| ${[number(cost.rate, 0), offers, name, ...figures, ...rest].join(" | ")} |`);
  }
}

/** Measures announces whose offers nobody answers and, at a rate, again with answers. The difference is for the answers. */
async function measure(contestant: Contestant, rate: number, offers: number, cost: Cost): Promise<void> {
  const server = await contestant.start(directory);
  const run = rate === 0 ? { seconds } : { seconds, rate };
  let announce = 0;
  for (const answers of rate === 0 ? [false] : [false, true]) {
    const load = await createSocketLoad(server, { ...swarm, offers, answers });
    load.fill();
    load.run({ seconds: warmUpSeconds });
    const before = server.cpuMs();
    const started = performance.now();
    const result = load.run(run);
    const cpuMs = server.cpuMs() - before;
    if (answers) {
      if (result.answers > 0) cost.answer.push((1000 * cpuMs - announce * result.announces) / result.answers);
    } else {
      announce = (1000 * cpuMs) / result.announces;
      cost.announce.push(announce);
      cost.offersRelayed.push(result.offers / result.announces);
      cost.rate.push(result.rate);
      cost.busy.push(cpuMs / (performance.now() - started));
      if (rate > 0) cost.p50.push(result.latency.percentile(0.5));
      if (rate > 0) cost.p99.push(result.latency.percentile(0.99));
    }
    cost.lost += result.lost + result.errors;
    load.close();
    await wait(500); // the tracker removes the peers
  }
  await server.stop();
}

function createSocketLoad(
  server: Server,
  options: { torrents: number; peers: number; offers: number; answers?: boolean },
): Promise<WebSocketLoad> {
  return WebSocketLoad.create({ host: "127.0.0.1", port: server.ports.http, numWant: 0, ...options });
}

async function measureMemory(): Promise<void> {
  console.log("|  | sockets | empty process | with sockets | bytes a peer above empty |");
  console.log("| --- | ---: | ---: | ---: | ---: |");
  for (const contestant of contestants) {
    const server = await contestant.start(directory);
    await wait(settleMs);
    const empty = server.rssMiB();
    const load = await createSocketLoad(server, { ...swarms, offers: 5 });
    const { announces } = load.fill();
    await wait(settleMs);
    const full = server.rssMiB();
    const row = [
      contestant.name,
      announces.toLocaleString("en-US"),
      `${empty.toFixed(1)} MiB`,
      `${full.toFixed(1)} MiB`,
      (((full - empty) * 2 ** 20) / announces).toFixed(0),
    ];
    console.log(`| ${row.join(" | ")} |`);
    load.close();
    await server.stop();
  }
}

/** Measures UDP announces to two processes in turn, one of which has idle sockets. */
async function measureIdle(): Promise<void> {
  console.log(`|  | sockets | UDP announces/s | p50, p99 µs without | p50, p99 µs beside | p99, ratio |`);
  console.log("| --- | ---: | ---: | ---: | ---: | ---: |");
  for (const contestant of contestants.filter(({ isOwn }) => isOwn)) {
    const servers = [await contestant.start(directory), await contestant.start(directory)] as const;
    const idle = await IdleSockets.open({ ...swarms, port: servers[1].ports.http, offers: 5 });
    const loads = await Promise.all(
      servers.map((server) =>
        UdpLoad.create({
          host: "127.0.0.1",
          port: server.ports.udp,
          numWant: 30,
          torrents: 1000,
          peers: 10_000,
        }),
      ),
    );
    for (const load of loads) {
      load.fill();
      load.run({ seconds: 1, rate: udpRate });
    }
    await wait(settleMs);
    const p50: [number[], number[]] = [[], []];
    const p99: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      for (const side of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
        const { latency } = loads[side]!.run({ seconds, rate: udpRate });
        p50[side].push(latency.percentile(0.5));
        p99[side].push(latency.percentile(0.99));
      }
    }
    const open = await servers[1].metric("chihaya_web_sockets");
    const ratio = median(p99[1].map((each, i) => each / p99[0][i]!));
    const latencies = ([0, 1] as const).map((side) => `${median(p50[side])}, ${median(p99[side])}`);
    const row = [
      contestant.name,
      open.toLocaleString("en-US"),
      udpRate.toLocaleString("en-US"),
      ...latencies,
    ];
    console.log(`| ${[...row, ratio.toFixed(2)].join(" | ")} |`);
    for (const load of loads) load.close();
    await idle.close();
    for (const server of servers) await server.stop();
  }
}
