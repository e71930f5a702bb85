import { Session } from "node:inspector/promises";
import { setTimeout } from "node:timers/promises";

/**
 * Records what the thread's CPU time is spent on.
 * @param signal  ends it early, with a rejection
 * @returns the content of a `.cpuprofile` file
 */
export async function profileCpu(seconds: number, signal: AbortSignal): Promise<string> {
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
