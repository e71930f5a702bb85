import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Collects garbage and returns the number of bytes of the heap in use. */
export function heapInUse(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

/** Number of calls between two measurements: few, so that garbage is rarely collected between the two. */
const callsAtOnce = 1000;

/**
 * Measures how many bytes a compiled function allocates per call, exact to about half a byte. Counts allocations even if
 * the garbage collector has freed them by the end.
 */
export function heapGrowth(calls: number, call: () => void): number {
  collect();
  let grown = 0;
  let counted = 0;
  for (let done = 0; done < calls; done += callsAtOnce) {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < callsAtOnce; i++) call();
    const difference = process.memoryUsage().heapUsed - before;
    if (difference < 0) continue; // collected meanwhile
    grown += difference - lookCost;
    counted += callsAtOnce;
  }
  return counted === 0 ? Number.POSITIVE_INFINITY : Math.max(0, grown / counted);
}

/** Number of bytes that a measurement itself allocates. */
const lookCost = measureLook();

function measureLook(): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 1000; i++) {
    const before = process.memoryUsage().heapUsed;
    const difference = process.memoryUsage().heapUsed - before;
    if (difference >= 0) least = Math.min(least, difference);
  }
  return least;
}
