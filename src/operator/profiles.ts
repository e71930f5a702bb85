import type { Readable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { getHeapSnapshot } from "node:v8";

/** Takes profiles of the threads of a process: 0 is the main thread, its workers count from 1. */
export interface Profiler {
  /** Number of workers. */
  readonly workers: number;
  /**
   * Resolves with the content of a `.cpuprofile` file.
   * @param signal  ends it early, with a rejection
   */
  profileCpu(worker: number, seconds: number, signal: AbortSignal): Promise<string>;
  /** Resolves with the content of a `.heapsnapshot` file. */
  snapshotHeap(worker: number): Promise<Readable>;
}

/** A process without workers. */
export const mainProfiler: Profiler = {
  workers: 0,
  profileCpu: (_, seconds, signal) => profileCpu(seconds, signal),
  snapshotHeap: async () => getHeapSnapshot(),
};

/**
 * Records a CPU profile of the thread.
 * @param signal  aborts the recording; the promise then rejects
 * @returns the content of a `.cpuprofile` file
 */
export async function profileCpu(seconds: number, signal: AbortSignal): Promise<string> {
  const { Session } = await import("node:inspector/promises"); // loaded only when a profile is requested, to save memory
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.start");
    await setTimeout(seconds * 1000, undefined, { signal });
    const { profile } = await session.post("Profiler.stop");
    return JSON.stringify(profile);
  } finally {
    session.disconnect();
  }
}
