/**
 * The memory store alone: time, heap growth and resident memory per announce.
 *
 * Usage: node --expose-gc bench/micro/store.ts [torrents peers]...
 * Default: 10,000 torrents with 1 M peers, then 1 M torrents with 2 M peers. Swarms are skewed: 1.4 % of the
 * torrents hold 73 % of the peers.
 */
import { AnnounceRequest, AnnounceResponse, Counter } from "../../src/bittorrent/announce.ts";
import { createRandom } from "../../src/bittorrent/clock.ts";
import { PeerList } from "../../src/bittorrent/peer-list.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";
import { Step } from "../../src/storage/peer-store.ts";

const numWant = 30;
const announces = 1_000_000;

const shapes = process.argv.slice(2).map(Number);
if (shapes.length === 0) shapes.push(10_000, 1_000_000, 1_000_000, 2_000_000);
for (let i = 0; i + 1 < shapes.length; i += 2) measure(shapes[i]!, shapes[i + 1]!);

function measure(torrents: number, peers: number): void {
  const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
  const random = createRandom(1);
  const before = process.memoryUsage.rss();
  const store = new MemoryStore({
    config: { gcInterval: 180, peerLifetime: 1860, maxPeers: peers * 2, peerIds: false },
    clock,
    random,
  });
  const request = new AnnounceRequest();
  const bytes = new Uint8Array(4096);
  const response = new AnnounceResponse(new PeerList(4, bytes), new PeerList(6, bytes));
  response.peers4.limit = numWant;
  request.numWant = numWant;

  const hot = Math.max(1, Math.floor(torrents * 0.014));
  const pick = (peer: number) => {
    const r = random.next();
    const torrent = r % 100 < 73 ? random.next() % hot : hot + (random.next() % Math.max(1, torrents - hot));
    for (let i = 0; i < 5; i++)
      request.infoHashWords[i] = Math.imul(torrent + 1, 0x9e3779b1 + i * 2) ^ (torrent << i);
    request.address.words[0] = Math.imul(peer + 1, 0x85ebca6b);
    request.port = 1024 + (peer % 60_000);
    request.counters[2 * Counter.left] = peer % 3;
    response.reset(1800, 900);
  };
  for (let i = 0; i < peers; i++) {
    pick(i);
    store.announce(request, response, Step.apply);
  }
  const statistics = store.statistics();
  const rss = process.memoryUsage.rss() - before;
  console.log(
    `${torrents} torrents, ${statistics.peers4} peers, ${(rss / 2 ** 20).toFixed(1)} MiB, ` +
      `${(rss / statistics.peers4).toFixed(1)} bytes a peer`,
  );

  for (const [name, step] of [
    ["announce", Step.both],
    ["select only", Step.select],
    ["apply only", Step.apply],
  ] as const) {
    let given = 0;
    globalThis.gc?.();
    const heap = process.memoryUsage().heapUsed;
    const start = process.cpuUsage();
    for (let i = 0; i < announces; i++) {
      pick(i);
      store.announce(request, response, step);
      given += response.peers4.count;
    }
    const { user, system } = process.cpuUsage(start);
    const grown = process.memoryUsage().heapUsed - heap;
    console.log(
      `  ${name}: ${(((user + system) * 1000) / announces).toFixed(0)} ns, ${(given / announces).toFixed(1)} peers an answer, ` +
        `heap ${grown >= 0 ? "+" : ""}${(grown / announces).toFixed(2)} bytes an announce`,
    );
  }
}
