import assert from "node:assert/strict";
import { parentPort, workerData } from "node:worker_threads";
import { AnnounceRequest, AnnounceResponse } from "../../src/bittorrent/announce.ts";
import { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { PeerList } from "../../src/bittorrent/peer-list.ts";
import { ScrapeRequest, ScrapeResponse } from "../../src/bittorrent/scrape.ts";
import { Address } from "../../src/ip/address.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { Expiry } from "../../src/storage/memory/expiry.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";
import { TorrentSwarms } from "../../src/storage/memory/torrent-swarms.ts";
import { Step } from "../../src/storage/peer-store.ts";
import { Shared, type StressReport, type StressStart } from "./stress.ts";

// Announces and scrapes at random, and checks every response. The port of a peer identifies its torrent, and the second byte
// of its address identifies its thread, so that a peer in a wrong list is found.

const { memory, config, owner, seed, torrents, peers, steps, expires, shared } = workerData as StressStart;
const clock = { seconds: 0, unixSeconds: 0 };
const random = createRandom(seed);
const below = (limit: number): number => random.next() % limit;
const store = new MemoryStore({ config, clock, random: createRandom(seed + 1), memory, owner });
const expiry = new Expiry(new TorrentSwarms(memory, random, owner));

const numWant = 50;
const request = new AnnounceRequest();
request.numWant = numWant;
const bytes = new Uint8Array(numWant * 24);
const response = new AnnounceResponse(new PeerList(4, bytes), new PeerList(6, bytes));
response.peers6.at = numWant * 6;
response.peers4.limit = response.peers6.limit = numWant;
const scrape = new ScrapeRequest(1);
scrape.count = 1;
const scraped = new ScrapeResponse(1);

const absent = 0;
const leecher = 1;
const seeder = 2;
/** The roles of this thread's peers, by torrent, family and peer. */
const roles = new Uint8Array(torrents * 2 * peers);
const snatched = new Uint8Array(roles.length);
const snatches: number[] = new Array(torrents).fill(0);

const listAddresses = (prefix: string): Address[] =>
  Array.from({ length: peers }, (_, peer) =>
    Address.parse(`${prefix}10.${owner % 256}.${peer >> 8}.${peer & 255}`),
  );
const addresses = { 4: listAddresses(""), 6: listAddresses("2001:db8::") };

const portOf = (torrent: number): number => 1 + (torrent % 65_535);
const setInfoHash = (words: Int32Array, torrent: number): void => {
  words.fill(0);
  words[0] = torrent + 1;
  words[4] = Math.imul(torrent, 0x9e3779b1);
};

/** @param self  the announcer, if it must not be in the list */
function checkList(list: PeerList, torrent: number, self?: Uint8Array): void {
  const stride = list.family === 4 ? 6 : 18;
  assert.ok(list.count <= numWant);
  const seen = new Set<string>();
  for (let at = list.at, i = 0; i < list.count; i++, at += stride) {
    assert.equal(
      bytes[at + stride - 2]! * 256 + bytes[at + stride - 1]!,
      portOf(torrent),
      "a peer of another torrent",
    );
    const address = bytes.subarray(at, at + stride - 2);
    seen.add(address.join());
    if (self) assert.notDeepEqual(address, self, "the announcer in its own list");
  }
  assert.equal(seen.size, list.count, "a peer is listed twice");
}

function announce(): void {
  const few = torrents < 100 ? 1 : 2; // with many swarms, most of the work is in the first ones
  const torrent = Math.floor((below(1 << 20) / (1 << 20)) ** few * torrents);
  const family = below(3) === 0 ? 6 : 4;
  const peer = below(peers);
  const at = (torrent * 2 + (family === 4 ? 0 : 1)) * peers + peer;
  request.address.copyFrom(addresses[family][peer]!);
  request.port = portOf(torrent);
  setInfoHash(request.infoHashWords, torrent);
  const dice = below(16);
  request.event = AnnounceEvent.none;
  if (dice < 3) request.event = AnnounceEvent.stopped;
  else if (dice === 3) request.event = AnnounceEvent.completed;
  else if (dice === 4) request.event = AnnounceEvent.paused;
  request.left = below(2) === 0 ? 0n : 5n;
  response.reset(0, 0);
  store.announce(request, response, dice === 5 ? Step.select : Step.both);
  if (dice !== 5) {
    if (request.event === AnnounceEvent.stopped) {
      roles[at] = absent;
      snatched[at] = 0;
    } else {
      roles[at] = request.isSeeder ? seeder : leecher;
      if (request.event === AnnounceEvent.completed && snatched[at] === 0) {
        snatched[at] = 1;
        snatches[torrent]!++;
      }
    }
  }
  if (dice % 8 > 0) return; // checking costs more than the announce
  assert.ok(response.complete >= 0 && response.incomplete >= 0, "counts below zero");
  // Counts include both families, so only the lists show whether the peer may be alone in its swarm.
  const isAlone = response.peers4.count + response.peers6.count === 1;
  const self = family === 4 && !isAlone ? bytes4(request.address.words[0]!) : undefined;
  checkList(response.peers4, torrent, self);
  checkList(response.peers6, torrent);
}

function bytes4(word: number): Uint8Array {
  return new Uint8Array(new Int32Array([word]).buffer);
}

function scrapeOne(): void {
  setInfoHash(scrape.infoHashWords, below(torrents));
  scrape.address.copyFrom(addresses[below(2) === 0 ? 4 : 6][0]!);
  scraped.reset(1);
  store.scrape(scrape, scraped);
  assert.ok(scraped.partial(0) <= scraped.incomplete(0), "more partial seeds than leechers");
}

for (let step = 0; steps === 0 || step < steps; step++) {
  clock.seconds = Atomics.load(shared, Shared.seconds);
  if (step % 32 === 0) {
    if (Atomics.load(shared, Shared.stop) === 1) break;
    if (expires) {
      if (expiry.step(200, clock.seconds, config.peerLifetime) !== undefined) expiry.begin();
      if (step % 4096 === 0) Atomics.add(shared, Shared.seconds, 1);
    }
  }
  if (below(100) === 0) scrapeOne();
  else announce();
  Atomics.add(shared, Shared.steps + owner, 1);
}

const members: StressReport["members"] = { 4: [], 6: [] };
for (let torrent = 0; torrent < torrents; torrent++) {
  for (const family of [4, 6] as const) {
    const from = (torrent * 2 + (family === 4 ? 0 : 1)) * peers;
    const own = roles.subarray(from, from + peers);
    const count = (role: number) => own.filter((one) => one === role).length;
    members[family].push([count(seeder), count(leecher)]);
  }
}
parentPort!.postMessage({ members, snatches } satisfies StressReport);
