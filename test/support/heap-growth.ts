import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes of the heap that are in use, when what is not has been collected. */
export function heapInUse(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

/** Calls between two looks at the heap: so few that what they allocate is rarely collected in between. */
const callsAtOnce = 1000;

/**
 * Measures what a function allocates once it is compiled: bytes a call, exact to about half a byte. What grows counts
 * also where the garbage collector has taken it back by the end.
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

/** Bytes that one look takes itself. */
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
