/**
 * Measures the CPU time per request over loopback of the portable network (node:dgram, node:net). Compares it with plain
 * Node.js servers: an echo over node:dgram, and a constant response of node:http. Only the process of the server is
 * measured, not that of the client. One run measures all servers in turn; figures are medians.
 *
 * Usage: node bench/portable.ts [SECONDS [ROUNDS]]   (default: 3 seconds a server, 5 rounds)
 */
import { type ChildProcess, fork } from "node:child_process";
import { createSocket } from "node:dgram";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { http } from "../src/frontend/http/index.ts";
import { udp } from "../src/frontend/udp/index.ts";
import { createRandom } from "../src/lib/clock.ts";
import { Population } from "../src/load/population.ts";
import { silentLogger } from "../src/observability/logger.ts";
import { Metrics } from "../src/observability/metrics.ts";
import { createAnnounceRequest, createConnectRequest } from "../src/protocol/udp/client.ts";
import { MemoryStore } from "../src/storage/memory/memory-store.ts";
import { useFrontend } from "../src/tracker/create-tracker.ts";
import { SystemClock } from "../src/tracker/system-clock.ts";
import { Tracker } from "../src/tracker/tracker.ts";
import { announceQuery, httpOptions } from "../test/fixtures/http-server.ts";
import { udpOptions } from "../test/support/udp.ts";
import { Announcer } from "./support/announcer.ts";
import { median } from "./support/measure.ts";

const host = "127.0.0.1";
const listen = [{ host, port: 0 }];
/** Number of pending requests at any time. */
const underWay = 32;
const infoHashes = 10_000;
const numWant = 30;
/** Number of peers that each torrent has before the measurement, besides the announcing ones. */
const peersBefore = 40;
/** Length of a response with all requested peers, in bytes. */
const udpAnswer = 20 + 6 * numWant;
const httpBody = 290;
const population = new Population({ torrents: infoHashes, peers: peersBefore * infoHashes });
const servers = ["node:dgram echo", "UDP announce", "node:http constant", "HTTP announce"] as const;
type Kind = (typeof servers)[number];
const isUdp = (kind: string) => kind === "node:dgram echo" || kind === "UDP announce";

const [role, ...args] = process.argv.slice(2);
if (role === "server") await serve(args[0] as Kind);
else if (role === "client")
  (isUdp(args[0]!) ? loadUdp : loadHttp)(args[0]!, Number(args[1]), Number(args[2]));
else await compare(Number(role ?? 3), Number(args[0] ?? 5));

async function compare(seconds: number, rounds: number): Promise<void> {
  const measured = new Map<Kind, { microseconds: number; rate: number }[]>(servers.map((kind) => [kind, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [kind, figures] of measured) figures.push(await measure(kind, seconds));
  }
  console.log("| server | CPU per request | requests a second |\n|---|---:|---:|");
  for (const [kind, figures] of measured) {
    const microseconds = median(figures.map((figure) => figure.microseconds));
    const rate = median(figures.map((figure) => figure.rate));
    console.log(`| ${kind} | ${microseconds.toFixed(1)} µs | ${Math.round(rate)} |`);
  }
}

async function measure(kind: Kind, seconds: number): Promise<{ microseconds: number; rate: number }> {
  const server = fork(import.meta.filename, ["server", kind]);
  const { port } = await next<{ port: number }>(server);
  const run = async (duration: number) => {
    const client = fork(import.meta.filename, ["client", kind, `${port}`, `${duration}`]);
    return (await next<{ answers: number }>(client)).answers;
  };
  const cpu = async () => {
    server.send("cpu");
    const { user, system } = await next<NodeJS.CpuUsage>(server);
    return user + system;
  };
  await run(2); // lets the code be compiled
  const before = await cpu();
  const answers = await run(seconds);
  const spent = (await cpu()) - before;
  server.kill();
  return { microseconds: spent / answers, rate: answers / seconds };
}

function next<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve) => {
    child.once("message", (message) => resolve(message as T));
  });
}

async function serve(kind: Kind): Promise<void> {
  process.on("message", () => process.send?.(process.cpuUsage()));
  process.send?.({ port: await open(kind) });
}

async function open(kind: Kind): Promise<number> {
  if (kind === "node:dgram echo") {
    const socket = createSocket({ type: "udp4", lookup: (address, _, done) => done(null, address, 4) });
    const answer = new Uint8Array(udpAnswer);
    socket.on("message", (_, { address, port }) => socket.send(answer, port, address));
    await new Promise<void>((resolve) => socket.bind(0, host, resolve));
    return socket.address().port;
  }
  if (kind === "node:http constant") {
    const server = createServer((_request, response) => response.end("x".repeat(httpBody))).listen(0, host);
    await new Promise((resolve) => server.once("listening", resolve));
    return (server.address() as AddressInfo).port;
  }
  const clock = new SystemClock();
  clock.start();
  const config = { gcInterval: 180, peerLifetime: 1860, maxPeers: 1_000_000, peerIds: false };
  const store = new MemoryStore({ config, clock, random: createRandom(1) });
  fill(store);
  const tracker = new Tracker(
    {
      interval: 1800,
      minInterval: 900,
      preHooks: [],
      postHooks: [],
      frontends: [
        kind === "HTTP announce"
          ? useFrontend(http, { ...httpOptions, listen })
          : useFrontend(udp, { ...udpOptions, listen }),
      ],
    },
    { store, clock, metrics: new Metrics(), logger: silentLogger },
  );
  await tracker.start();
  return Number(new URL(tracker.urls()[0]!).port);
}

/** Announces more peers for each torrent than a response has room for. */
function fill(store: MemoryStore): void {
  const announcer = new Announcer(0);
  const { infoHash } = announcer.request;
  const view = new DataView(infoHash.buffer, infoHash.byteOffset);
  for (let torrent = 0; torrent < infoHashes; torrent++) {
    population.writeInfoHash(torrent, view, 0);
    for (let peer = 0; peer < peersBefore; peer++) {
      announcer.peer(torrent * peersBefore + peer);
      announcer.apply(store);
    }
  }
}

/** Keeps sockets busy with one request each, and returns the number of responses. */
function loadUdp(_kind: string, port: number, seconds: number): void {
  const random = createRandom(port);
  let answers = 0;
  for (let i = 0; i < underWay; i++) {
    const socket = createSocket({ type: "udp4", lookup: (address, _, done) => done(null, address, 4) });
    let announce: Uint8Array | undefined;
    socket.on("message", (bytes) => {
      if (announce !== undefined && bytes.length !== udpAnswer) throw new Error(`${bytes.length} bytes`);
      answers++;
      announce ??= createAnnounceRequest({
        connectionId: bytes.readBigUInt64BE(8),
        transactionId: i,
        infoHash: new Uint8Array(20),
        peerId: Buffer.from("-TR4060-6wfG2wk6wWLc"),
        left: 1n,
        numWant,
        port: 6881,
      });
      const view = new DataView(announce.buffer);
      population.writeInfoHash(random.next() % infoHashes, view, 16);
      view.setUint16(96, 1 + (random.next() % 100));
      socket.send(announce, port, host);
    });
    socket.send(createConnectRequest(i), port, host);
  }
  finish(() => answers, seconds);
}

function loadHttp(_kind: string, port: number, seconds: number): void {
  const random = createRandom(port);
  const query = announceQuery({ info_hash: null, port: null, numwant: `${numWant}`, left: "1" });
  const bytes = Buffer.alloc(20);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const requests = Array.from({ length: infoHashes }, (_, torrent) => {
    population.writeInfoHash(torrent, view, 0);
    const infoHash = bytes.toString("hex").replace(/../g, "%$&");
    const target = `/announce?info_hash=${infoHash}&port=${1 + (random.next() % 100)}&${query}`;
    return Buffer.from(`GET ${target} HTTP/1.1\r\nHost: tracker.test\r\n\r\n`);
  });
  let answers = 0;
  for (let i = 0; i < underWay; i++) {
    const socket = connect({ port, host, noDelay: true });
    const ask = () => socket.write(requests[random.next() % infoHashes]!);
    socket.on("connect", ask);
    socket.on("data", (bytes) => {
      if (bytes.length < httpBody) throw new Error(String(bytes));
      answers++;
      ask();
    });
  }
  finish(() => answers, seconds);
}

function finish(answers: () => number, seconds: number): void {
  setTimeout(() => process.send?.({ answers: answers() }, () => process.exit()), seconds * 1000);
}
