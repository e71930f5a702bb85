/**
 * CPU time per request over loopback of the portable engine (node:dgram, node:net), beside the least that Node can do:
 * an echo over node:dgram, and a constant answer of node:http and of node:net. The server's own process is measured; the client is
 * another. All in one run, in turns, so that they can be compared.
 *
 * Usage: node bench/portable.ts [SECONDS [ROUNDS]]   (default: 3 seconds a server, 2 rounds)
 */
import { type ChildProcess, fork } from "node:child_process";
import { createSocket } from "node:dgram";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { createRandom } from "../src/bittorrent/clock.ts";
import { silentLogger } from "../src/observability/logger.ts";
import { Metrics } from "../src/observability/metrics.ts";
import { createAnnounceRequest, createConnectRequest } from "../src/protocol/udp/client.ts";
import { SystemClock } from "../src/runtime/clock.ts";
import { Tracker } from "../src/runtime/tracker.ts";
import { MemoryStore } from "../src/storage/memory/memory-store.ts";
import { announceQuery, httpOptions } from "../test/fixtures/http-server.ts";
import { udpOptions } from "../test/support/udp.ts";

const host = "127.0.0.1";
const listen = [{ host, port: 0 }];
/** Requests under way at any time. */
const underWay = 32;
const infoHashes = 10_000;
/** Bytes of an answer with 30 peers. */
const udpAnswer = 20 + 30 * 6;
const servers = ["node:dgram echo", "UDP announce", "node:http constant", "HTTP announce"] as const;
type Kind = (typeof servers)[number];
const isUdp = (kind: string) => kind === "node:dgram echo" || kind === "UDP announce";

const [role, ...args] = process.argv.slice(2);
if (role === "server") await serve(args[0] as Kind);
else if (role === "client")
  (isUdp(args[0]!) ? loadUdp : loadHttp)(args[0]!, Number(args[1]), Number(args[2]));
else await compare(Number(role ?? 3), Number(args[0] ?? 2));

async function compare(seconds: number, rounds: number): Promise<void> {
  const best = new Map<Kind, { microseconds: number; rate: number }>();
  for (let round = 0; round < rounds; round++) {
    for (const kind of servers) {
      const figures = await measure(kind, seconds);
      if (figures.microseconds < (best.get(kind)?.microseconds ?? Number.POSITIVE_INFINITY))
        best.set(kind, figures);
    }
  }
  console.log("| server | CPU per request | requests a second |\n|---|---:|---:|");
  for (const [kind, { microseconds, rate }] of best) {
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
  await run(2); // compiled now, and the swarms are there
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
    const server = createServer((_request, response) => response.end("x".repeat(290))).listen(0, host);
    await new Promise((resolve) => server.once("listening", resolve));
    return (server.address() as AddressInfo).port;
  }
  const clock = new SystemClock();
  clock.start();
  const config = { gcInterval: 180, peerLifetime: 1860, maxPeers: 1_000_000, peerIds: false };
  const store = new MemoryStore({ config, clock, random: createRandom(1) });
  const tracker = new Tracker(
    {
      interval: 1800,
      minInterval: 900,
      preHooks: [],
      postHooks: [],
      http: kind === "HTTP announce" ? { ...httpOptions, listen } : undefined,
      udp: kind === "UDP announce" ? { ...udpOptions, listen } : undefined,
    },
    { store, clock, metrics: new Metrics(), logger: silentLogger },
  );
  await tracker.start();
  return Number(new URL(tracker.urls()[0]!).port);
}

/** Keeps sockets busy, one request each, and reports how many answers came. */
function loadUdp(_kind: string, port: number, seconds: number): void {
  const random = createRandom(port);
  let answers = 0;
  for (let i = 0; i < underWay; i++) {
    const socket = createSocket({ type: "udp4", lookup: (address, _, done) => done(null, address, 4) });
    let announce: Uint8Array | undefined;
    socket.on("message", (bytes) => {
      answers++;
      announce ??= createAnnounceRequest({
        connectionId: bytes.readBigUInt64BE(8),
        transactionId: i,
        infoHash: new Uint8Array(20).fill(7),
        peerId: Buffer.from("-TR4060-6wfG2wk6wWLc"),
        left: 1n,
        numWant: 30,
        port: 6881,
      });
      const view = new DataView(announce.buffer);
      view.setUint16(16, random.next() % infoHashes);
      view.setUint16(96, 1 + (random.next() % 100));
      socket.send(announce, port, host);
    });
    socket.send(createConnectRequest(i), port, host);
  }
  finish(() => answers, seconds);
}

function loadHttp(_kind: string, port: number, seconds: number): void {
  const random = createRandom(port);
  const query = announceQuery({ info_hash: null, port: null, numwant: "30", left: "1" });
  const hex = (byte: number) => `%${byte.toString(16).padStart(2, "0")}`;
  const requests = Array.from({ length: infoHashes }, (_, i) => {
    const infoHash = `${hex(i >> 8)}${hex(i & 255)}${"a".repeat(18)}`;
    const target = `/announce?info_hash=${infoHash}&port=${1 + (random.next() % 100)}&${query}`;
    return Buffer.from(`GET ${target} HTTP/1.1\r\nHost: tracker.test\r\n\r\n`);
  });
  let answers = 0;
  for (let i = 0; i < underWay; i++) {
    const socket = connect({ port, host, noDelay: true });
    const ask = () => socket.write(requests[random.next() % infoHashes]!);
    socket.on("connect", ask);
    socket.on("data", () => {
      answers++;
      ask();
    });
  }
  finish(() => answers, seconds);
}

function finish(answers: () => number, seconds: number): void {
  setTimeout(() => process.send?.({ answers: answers() }, () => process.exit()), seconds * 1000);
}
