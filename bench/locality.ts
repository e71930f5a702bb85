/**
 * Simulates a deployment: 1,000 clients in 20 racks download a file from one seeder, with and without `locality`. The
 * simulation uses this tracker's logic and stores and a simulated clock. Every host has an uplink, and every rack has a link
 * to the other racks.
 *
 * Usage: node bench/locality.ts [--write]   (--write puts the table into docs/locality.md and the plot beside it)
 */
import { readFileSync, writeFileSync } from "node:fs";
import { AnnounceRequest, AnnounceResponse, Counter } from "../src/bittorrent/announce.ts";
import { AnnounceEvent } from "../src/bittorrent/event.ts";
import { createLocality, type LocalityOptions } from "../src/hooks/locality/create-locality.ts";
import { createList } from "../src/hooks/locality/peer-lists.ts";
import { createRandom, type Random } from "../src/lib/clock.ts";
import { RequestContext } from "../src/middleware/hook.ts";
import { TrackerLogic } from "../src/middleware/logic.ts";
import { silentLogger } from "../src/observability/logger.ts";
import { Metrics } from "../src/observability/metrics.ts";
import { MemoryStore } from "../src/storage/memory/memory-store.ts";
import { createSharedState, LocalHub } from "../src/tracker/share-hub.ts";
import { type Curve, plotCurves } from "./support/plot-curves.ts";

const racks = 20;
const hostsInRack = 50;
/** The seeder is an additional host of the first rack. */
const hosts = racks * hostsInRack + 1;
const pieces = 1024;
const pieceBytes = 1e6;
/** Bytes per second that a host can send, and receive: 1 Gbit/s. */
const hostRate = 125e6;
/** Bytes per second that a rack can send to other racks, and receive from them: 2 Gbit/s. */
const rackRate = 250e6;
const stepSeconds = 0.25;
/** All clients start within this time, in random order. */
const startSeconds = 10;
const announceSeconds = 60;
const longestSeconds = 900;
const numWant = 40;
const uploadSlots = 4;
/** Maximum numbers of connections that a client opens, and that it accepts. */
const openedConnections = 50;
const mostConnections = 80;
const lifetime = { peerLifetime: 1860, gcInterval: 180 };

interface Host {
  rack: number;
  starts: number;
  announces: number;
  has: Uint8Array;
  missing: number;
  doneAt: number | undefined;
  connections: Set<number>;
  /** Bytes of the present piece from each host. */
  partly: Map<number, number>;
}

interface Outcome {
  title: string;
  sameRackShare: number;
  crossRackBytes: number;
  /** Seconds until the last client of the last rack was done; undefined if some clients never finished. */
  lastRackDone: number | undefined;
  cutOff: number;
  /** Number of clients that were done at the end of each second. */
  done: number[];
}

async function simulate(title: string, options: LocalityOptions | undefined): Promise<Outcome> {
  const random = createRandom(7);
  const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
  const tracker = await createTracker(options, clock, random);
  const all: Host[] = Array.from({ length: hosts }, (_, index) => ({
    rack: index === hosts - 1 ? 0 : Math.floor(index / hostsInRack),
    starts: index === hosts - 1 ? 0 : (random.next() / 2 ** 32) * startSeconds,
    announces: index === hosts - 1 ? 0 : Number.POSITIVE_INFINITY,
    has: new Uint8Array(pieces).fill(index === hosts - 1 ? 1 : 0),
    missing: index === hosts - 1 ? 0 : pieces,
    doneAt: index === hosts - 1 ? 0 : undefined,
    connections: new Set(),
    partly: new Map(),
  }));
  for (const host of all) host.announces = host.starts;
  const count = { listed: 0, sameRack: 0, crossRack: 0 };
  const done: number[] = [];

  const announce = (index: number, event: AnnounceEvent) => {
    const host = all[index]!;
    for (const other of tracker(index, host.rack, host.missing, event)) {
      count.listed++;
      if (all[other]!.rack === host.rack) count.sameRack++;
      const isOpen = host.connections.size < openedConnections;
      if (!isOpen || all[other]!.connections.size >= mostConnections) continue;
      host.connections.add(other);
      all[other]!.connections.add(index);
    }
  };

  for (let time = 0; time < longestSeconds; time += stepSeconds) {
    clock.seconds = 1000 + Math.floor(time);
    for (const [index, host] of all.entries()) {
      if (host.announces > time) continue;
      announce(index, host.announces === host.starts ? AnnounceEvent.started : AnnounceEvent.none);
      host.announces += announceSeconds;
    }
    transfer(all, random, (cross) => {
      count.crossRack += cross;
    });
    let finished = 0;
    for (const [index, host] of all.entries()) {
      if (host.missing > 0) continue;
      finished++;
      if (host.doneAt !== undefined) continue;
      host.doneAt = time + stepSeconds;
      announce(index, AnnounceEvent.completed);
    }
    if (Number.isInteger(time + stepSeconds)) done.push(finished - 1);
    if (finished === hosts) break;
  }
  const cutOff = all.filter(({ doneAt }) => doneAt === undefined).length;
  return {
    title,
    sameRackShare: count.sameRack / count.listed,
    crossRackBytes: count.crossRack,
    lastRackDone: cutOff > 0 ? undefined : Math.max(...all.map(({ doneAt }) => doneAt!)),
    cutOff,
    done: [...done, hosts - 1 - cutOff],
  };
}

/** Creates the tracker. The address of a host is 10.rack.0.host. @returns a function that announces a host by its index and returns the listed hosts */
async function createTracker(
  options: LocalityOptions | undefined,
  clock: { seconds: number; unixSeconds: number },
  random: Random,
): Promise<(index: number, rack: number, left: number, event: AnnounceEvent) => number[]> {
  const config = { ...lifetime, maxPeers: 10_000, peerIds: false };
  const store = new MemoryStore({ config, clock, random });
  const shared = createSharedState(new LocalHub({ clock, random }), "locality", { clock, random, owner: 1 });
  const deps = { random, metrics: new Metrics(), shared, logger: silentLogger };
  const preHooks = options === undefined ? [] : [await createLocality(options, lifetime, deps)];
  const report = (where: string, error: unknown) => {
    throw new Error(`${where} failed`, { cause: error });
  };
  const logic = new TrackerLogic(store, { interval: 60, minInterval: 30, preHooks, postHooks: [] }, report);
  const request = new AnnounceRequest();
  const context = new RequestContext();
  const list = createList(4, numWant);
  list.limit = numWant;
  const response = new AnnounceResponse(list, createList(6, 0));
  return (index, rack, left, event) => {
    request.infoHash.fill(1);
    request.address.bytes.set([10, rack, 0, 1 + (index - rack * hostsInRack)]);
    request.port = 10_000 + index;
    request.event = event;
    request.numWant = numWant;
    request.counters[2 * Counter.left] = left;
    void logic.handleAnnounce(request, response, context);
    return Array.from({ length: list.count }, (_, i) => list.view.getUint16(6 * i + 4) - 10_000).filter(
      (other) => other !== index,
    );
  };
}

/** Simulates one step of all transfers: each host serves some of the hosts that need its pieces, within the limits of the links. */
function transfer(all: readonly Host[], random: Random, crossed: (bytes: number) => void): void {
  const send = new Float64Array(hosts).fill(hostRate * stepSeconds);
  const receive = new Float64Array(hosts).fill(hostRate * stepSeconds);
  const leave = new Float64Array(racks).fill(rackRate * stepSeconds);
  const enter = new Float64Array(racks).fill(rackRate * stepSeconds);
  const flows: [from: number, to: number][] = [];
  for (const [from, host] of all.entries()) {
    if (host.missing === pieces) continue;
    const wanting = shuffle([...host.connections], random).filter((to) => wants(all[to]!, host, random));
    for (const to of wanting.slice(0, uploadSlots)) flows.push([from, to]);
  }
  for (const [from, to] of shuffle(flows, random)) {
    const [source, target] = [all[from]!, all[to]!];
    const isCross = source.rack !== target.rack;
    let bytes = Math.min(send[from]!, receive[to]!, (hostRate * stepSeconds) / uploadSlots);
    if (isCross) bytes = Math.min(bytes, leave[source.rack]!, enter[target.rack]!);
    let ready = (target.partly.get(from) ?? 0) + bytes;
    while (ready >= pieceBytes) {
      const piece = choosePiece(target, source, random);
      if (piece < 0) break;
      ready -= pieceBytes;
      target.has[piece] = 1;
      target.missing--;
    }
    // If the host has no further piece for the other, the rest was not sent.
    const unsent = Math.min(bytes, Math.max(0, ready - pieceBytes));
    target.partly.set(from, ready - unsent);
    bytes -= unsent;
    send[from]! -= bytes;
    receive[to]! -= bytes;
    if (!isCross) continue;
    leave[source.rack]! -= bytes;
    enter[target.rack]! -= bytes;
    crossed(bytes);
  }
}

function wants(target: Host, source: Host, random: Random): boolean {
  return target.missing > 0 && (source.missing === 0 || choosePiece(target, source, random) >= 0);
}

/** Returns a random piece that one host lacks and the other has, or -1. */
function choosePiece(target: Host, source: Host, random: Random): number {
  const start = random.next() % pieces;
  for (let i = 0; i < pieces; i++) {
    const piece = (start + i) % pieces;
    if (target.has[piece] === 0 && source.has[piece] === 1) return piece;
  }
  return -1;
}

function shuffle<T>(items: T[], random: Random): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.next() % (i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

const byRack = (remoteQuota: number, order: LocalityOptions["order"] = "near-first"): LocalityOptions => ({
  levels: [{ name: "rack", ipv4: 16, ipv6: 48 }],
  remoteQuota,
  order,
  maxPeers: 10_000,
});

const outcomes = [
  await simulate("without `locality`", undefined),
  await simulate("`remote_quota: 0.2`", byRack(0.2)),
  await simulate("`remote_quota: 0.2`, seeders first", byRack(0.2, "seeders-first")),
  await simulate("`remote_quota: 0.1`", byRack(0.1)),
  await simulate("`remote_quota: 0`", byRack(0)),
];
const table = [
  "| | peers listed of the same rack | bytes between racks | last rack done | clients cut off |",
  "|---|---:|---:|---:|---:|",
  ...outcomes.map(({ title, sameRackShare, crossRackBytes, lastRackDone, cutOff }) => {
    const share = `${(100 * sameRackShare).toFixed(1)} %`;
    const last = lastRackDone === undefined ? "never" : `${lastRackDone.toFixed(0)} s`;
    return `| ${title} | ${share} | ${(crossRackBytes / 1e9).toFixed(0)} GB | ${last} | ${cutOff} |`;
  }),
].join("\n");
console.log(table);
if (process.argv.includes("--write")) {
  const curves = outcomes.map(
    ({ title, done }): Curve => ({ title: title.replaceAll("`", ""), values: done }),
  );
  const plot = plotCurves(curves, { x: "seconds", y: "clients that are done", mostX: 240 });
  writeFileSync(new URL("../docs/locality.svg", import.meta.url), plot);
  const file = new URL("../docs/locality.md", import.meta.url);
  const marked = /(<!-- begin: bench\/locality\.ts -->\n)[\s\S]*(<!-- end -->)/;
  const text = readFileSync(file, "utf8");
  if (!marked.test(text)) throw new Error("docs/locality.md has no markers");
  writeFileSync(
    file,
    text.replace(marked, (_, begin, end) => `${begin}\n${table}\n\n${end}`),
  );
}
