import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { BodiesTarget } from "./bodies-target.ts";
import { HttpTarget } from "./http-target.ts";
import type { FuzzTarget } from "./target.ts";
import { UdpTarget } from "./udp-target.ts";
import { WebTorrentTarget } from "./webtorrent-target.ts";
import { YamlTarget } from "./yaml-target.ts";

export type Kind = "udp" | "http" | "webtorrent" | "bodies" | "yaml";

/** Each kind of input, and its cases in one round: mostly datagrams, which are the quickest. */
const kinds: Readonly<Record<Kind, { create(seed: number): FuzzTarget; perRound: number }>> = {
  udp: { create: (seed) => new UdpTarget(seed), perRound: 44_500 },
  http: { create: (seed) => new HttpTarget(seed), perRound: 5400 },
  webtorrent: { create: (seed) => new WebTorrentTarget(seed), perRound: 5000 },
  bodies: { create: (seed) => new BodiesTarget(seed), perRound: 500 },
  yaml: { create: (seed) => new YamlTarget(seed), perRound: 100 },
};
export const allKinds: readonly Kind[] = ["udp", "http", "webtorrent", "bodies", "yaml"];

/** What the heap may grow by after the warm-up: tables that have not met their last entry. */
const maxGrowth = 8 * 1024 * 1024;
/** Share of the cases after which all code is compiled and all pools are full. */
const warmUp = 0.2;

export interface FuzzOptions {
  kinds: readonly Kind[];
  /** Cases of all kinds together. */
  cases: number;
  seed: number;
  /** Hears of each round: what has been run, and the heap after a collection. */
  onRound?: (done: number, heapBytes: number) => void;
  /** Whether to stop early, asked after each round. */
  isEnough?: () => boolean;
}

/** What came out of a run. */
export interface FuzzReport {
  cases: Readonly<Record<string, number>>;
  milliseconds: Readonly<Record<string, number>>;
}

/** A case that went wrong. The same seed and kinds lead to it again, at the same number. */
export class FuzzFailure extends Error {
  constructor(target: FuzzTarget, seed: number, cause: unknown) {
    const input = Buffer.from(target.input()).toString("hex");
    super(
      `${target.name} case ${target.count} of seed ${seed}: ${(cause as Error).message}\ninput: ${input}`,
      {
        cause,
      },
    );
    this.name = "FuzzFailure";
  }
}

/**
 * Runs cases of each kind in turns.
 * @throws FuzzFailure for a case that went wrong; Error where memory grows
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { seed } = options;
  const chosen = options.kinds.map((kind) => ({ target: kinds[kind].create(seed), ...kinds[kind], ms: 0 }));
  const perRound = chosen.reduce((sum, { perRound }) => sum + perRound, 0);
  const share = Math.min(1, options.cases / perRound);
  let done = 0;
  let warmHeap = Number.POSITIVE_INFINITY;
  for (let isOver = false; !isOver; ) {
    for (const each of chosen) {
      const cases = Math.ceil(each.perRound * share);
      const started = performance.now();
      try {
        await each.target.run(cases);
        each.target.check();
      } catch (error) {
        await each.target.stop(AbortSignal.abort());
        throw new FuzzFailure(each.target, seed, error);
      }
      each.ms += performance.now() - started;
      done += cases;
    }
    const heap = await heapAfterCollection();
    if (done >= options.cases * warmUp) warmHeap = Math.min(warmHeap, heap);
    options.onRound?.(done, heap);
    if (heap > warmHeap + maxGrowth) throw new Error(`the heap has grown from ${warmHeap} to ${heap} bytes`);
    isOver = done >= options.cases || options.isEnough?.() === true;
  }
  // No deadline: what does not end by itself has lost something.
  for (const { target } of chosen) await target.stop(new AbortController().signal);
  return {
    cases: Object.fromEntries(chosen.map(({ target }) => [target.name, target.count])),
    milliseconds: Object.fromEntries(chosen.map(({ target, ms }) => [target.name, ms])),
  };
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes of the heap, and of the buffers that it holds, when all garbage is gone. */
async function heapAfterCollection(): Promise<number> {
  collect();
  await new Promise(setImmediate); // buffers are let go in the background
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
