/**
 * Measures what a private tracker costs: processor time for each announce with and without `private`, latency, and how far the
 * database is behind.
 *
 * Usage: node bench/private.ts [--protocol udp|http] [--rate 5000] [--seconds 20] [--users 100000] [--torrents 1000000]
 *                              [--database mysql://root@127.0.0.1:3306/site] [--off] [--directory DIR]
 *
 * --database takes an empty database of a server that runs; the default is SQLite. --directory keeps users, torrents and the
 * journal for the next run. --off measures the same announces without `private`.
 */
import { createSocket } from "node:dgram";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createRandom } from "../src/lib/clock.ts";
import { Histogram } from "../src/load/histogram.ts";
import { openDatabase } from "../src/private/sites/sql/open-database.ts";
import { createTables } from "../src/private/sites/sql/schema.ts";
import { databaseMs } from "./support/database-ms.ts";
import { fillSite, infoHashOf, passkeyOf } from "./support/private-announces.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad, Server, type ServerPorts } from "./support/server.ts";

const { values } = parseArgs({
  options: {
    protocol: { type: "string", default: "udp" },
    rate: { type: "string", default: "5000" },
    seconds: { type: "string", default: "20" },
    users: { type: "string", default: "100000" },
    torrents: { type: "string", default: "1000000" },
    database: { type: "string" },
    directory: { type: "string" },
    off: { type: "boolean", default: false },
  },
});
const [rate, seconds, users, torrents] = [values.rate, values.seconds, values.users, values.torrents].map(
  Number,
) as [number, number, number, number];
const directory = values.directory ?? createScratchDirectory();
mkdirSync(directory, { recursive: true });
const database = values.database ?? join(directory, "private.sqlite");
const ports: ServerPorts = { udp: 27_101, http: 27_102, metrics: 27_103 };

const filled = join(directory, "filled");
if (!values.off && !existsSync(filled)) {
  await fill();
  writeFileSync(filled, "");
}
writeFileSync(
  join(directory, "chihaya.yaml"),
  `chihaya:
  workers: 1
  announce_interval: "30m"
  metrics_addr: "127.0.0.1:${ports.metrics}"
  http: { addr: "127.0.0.1:${ports.http}", max_connections: 1000 }
  udp: { addr: "127.0.0.1:${ports.udp}" }
${values.off ? "" : `  private: { site: sql, database: ${JSON.stringify(database)}, journal: { dir: ${JSON.stringify(join(directory, "journal"))} } }\n`}`,
);
const main = join(import.meta.dirname, "../src/cli/main.ts");
const server = new Server(
  [process.execPath, main, "--config", join(directory, "chihaya.yaml")],
  ports,
  directory,
  1,
);
await server.ready(async () => {
  if (!(await fetch(`http://127.0.0.1:${ports.metrics}/readyz`)).ok) return false;
  return values.off || (await server.metric("chihaya_private_users")) === users;
});
pinLoad();

let latencies = new Histogram();
let [sent, received, refused] = [0, 0, 0];
const send = values.protocol === "http" ? openHttp() : await openUdp();
const random = createRandom(7);
/** Counters grow, so that every announce adds bytes. */
const counters = new Uint32Array(1 << 20);

await run(3); // warms up
const before = server.threadsMs();
const databaseBefore = values.off ? 0 : await databaseMs(database);
const counted = received;
latencies = new Histogram();
let mostLag = 0;
const poll = setInterval(async () => {
  mostLag = Math.max(mostLag, await server.metric("chihaya_private_lag_records").catch(() => 0));
}, 1000);
await run(seconds);
const after = server.threadsMs();
const databaseSpent = values.off ? 0 : (await databaseMs(database)) - databaseBefore;
const announces = received - counted;
clearInterval(poll);
const { p50, p99 } = latencies.summary();
console.log(
  `${values.protocol}, private ${values.off ? "off" : `on, ${database.split(":")[0]}`}: ${Math.round(announces / seconds)}/s, ` +
    `${sent - received} lost, ${refused} refused, p50 ${p50} µs, p99 ${p99} µs`,
);
for (const [name, ms] of after) {
  const spent = ms - (before.get(name) ?? 0);
  const isBusy = spent > seconds; // more than a thousandth of a processor
  if (isBusy)
    console.log(
      `  ${name}: ${((1000 * spent) / announces).toFixed(2)} µs of processor time for each announce`,
    );
}
if (databaseSpent > 0)
  console.log(`  the database's server: ${((1000 * databaseSpent) / announces).toFixed(2)} µs`);
if (!values.off)
  console.log(`  the database was at most ${mostLag} records behind, ${(mostLag / rate).toFixed(1)} s`);
await server.stop();
process.exit(0);

async function run(duration: number): Promise<void> {
  const start = performance.now();
  let due = 0;
  for (let elapsed = 0; elapsed < duration; elapsed = (performance.now() - start) / 1000) {
    for (; due < elapsed * rate; due++) {
      const pick = random.next() % counters.length;
      send(
        1 + (pick % users),
        1 + ((Math.imul(pick, 2654435761) >>> 0) % torrents),
        counters[pick]!++ * 1000,
      );
      sent++;
    }
    await wait(1);
  }
  await wait(500);
}

function note(at: number): void {
  received++;
  latencies.record((performance.now() - at) * 1000);
}

/** Sends announces over UDP with the passkey in the path of the URL (BEP 41). */
async function openUdp(): Promise<(user: number, torrent: number, uploaded: number) => void> {
  const socket = createSocket("udp4");
  socket.on("error", () => undefined); // refused datagrams, which count as lost
  socket.connect(ports.udp, "127.0.0.1");
  await new Promise((resolve) => socket.once("connect", resolve));
  let connectionId: bigint | undefined;
  const started = new Map<number, number>();
  socket.on("message", (message) => {
    const action = message.readUInt32BE(0);
    const id = message.readUInt32BE(4);
    if (action === 0) connectionId = message.readBigUInt64BE(8);
    else {
      if (action !== 1) refused++;
      note(started.get(id) ?? 0);
      started.delete(id);
    }
  });
  const request = Buffer.alloc(16);
  request.writeBigUInt64BE(0x41727101980n);
  const renew = () => socket.send(request);
  renew();
  setInterval(renew, 30_000).unref();
  while (connectionId === undefined) await wait(10);
  const path = Buffer.from(`/announce/${passkeyOf(0)}`);
  const packet = Buffer.alloc(98 + 2 + path.length);
  packet.writeUInt32BE(1, 8);
  packet.write("-qB4520-", 36, "latin1");
  packet.writeInt32BE(-1, 92);
  packet.writeUInt16BE(6881, 96);
  packet.set([2, path.length], 98);
  packet.set(path, 100);
  let next = 1;
  return (user, torrent, uploaded) => {
    const own = Buffer.from(packet);
    own.writeBigUInt64BE(connectionId!, 0);
    own.writeUInt32BE(next, 12);
    infoHashOf(torrent).copy(own, 16);
    own.write(`${user}`.padStart(12, "0"), 44, "latin1");
    own.writeBigUInt64BE(BigInt(uploaded), 72);
    own.write(passkeyOf(user), 110, "latin1");
    started.set(next++, performance.now());
    socket.send(own);
  };
}

/** Sends announces over HTTP, on connections that are kept open. */
function openHttp(): (user: number, torrent: number, uploaded: number) => void {
  const connections = Array.from({ length: 50 }, () => {
    const socket = connect(ports.http, "127.0.0.1").setNoDelay();
    const times: number[] = [];
    socket.on("data", (chunk) => {
      // A response has one head.
      for (let at = chunk.indexOf("HTTP/1.1"); at >= 0; at = chunk.indexOf("HTTP/1.1", at + 1)) {
        if (chunk.includes("failure reason")) refused++;
        note(times.shift()!);
      }
    });
    return { socket, times };
  });
  let turn = 0;
  return (user, torrent, uploaded) => {
    const { socket, times } = connections[turn++ % connections.length]!;
    const infoHash = infoHashOf(torrent).toString("hex").replace(/../g, "%$&");
    const path = values.off ? "/announce" : `/announce/${passkeyOf(user)}`;
    times.push(performance.now());
    socket.write(
      `GET ${path}?info_hash=${infoHash}&peer_id=-qB4520-${`${user}`.padStart(12, "0")}&port=6881&uploaded=${uploaded}&` +
        "downloaded=0&left=0&compact=1&numwant=50 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    );
  };
}

/** Makes tables, users and torrents. */
async function fill(): Promise<void> {
  if (values.database === undefined) writeFileSync(database, "");
  const open = await openDatabase(database, "");
  await createTables(open);
  await fillSite(open, { users, torrents });
  await open.database.close();
}
