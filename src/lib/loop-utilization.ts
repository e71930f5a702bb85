import { type EventLoopUtilization, performance } from "node:perf_hooks";

/** Milliseconds that this thread has slept outside of libuv. */
let slept = 0;

/** Notes a sleep outside of libuv, which Node.js counts as work. */
export function noteSleep(ms: number): void {
  slept += ms;
}

/**
 * Returns the use of this thread's event loop, or the use between two results, as Node's function of this name does. A sleep
 * that was noted counts as idle.
 */
export function eventLoopUtilization(
  after?: EventLoopUtilization,
  before?: EventLoopUtilization,
): EventLoopUtilization {
  if (after && before) return performance.eventLoopUtilization(after, before);
  const use = performance.eventLoopUtilization();
  const [idle, active] = [use.idle + slept, use.active - slept];
  return { idle, active, utilization: active / (idle + active) || 0 };
}
