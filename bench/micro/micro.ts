import { do_not_optimize, measure } from "mitata";
import { heapGrowth } from "../../test/support/heap-growth.ts";

/** A group of functions that are measured separately. */
export interface Micro {
  title: string;
  /** Creates the cases, by their names; called in the process that measures. */
  cases(): Record<string, MicroCase> | Promise<Record<string, MicroCase>>;
}

export type MicroCase =
  | (() => unknown)
  | { call: () => unknown /** Operations in one call. */; operations: number };

/** The cost of an operation. */
export interface MicroFigures {
  name: string;
  nanoseconds: number;
  /** Allocated bytes, exact to about half a byte; 0 below half a byte. */
  bytes: number;
}

/** Measures one case: the median time of many samples, which a busy machine affects least, and the allocation after compilation. */
export async function measureCase(name: string, each: MicroCase): Promise<MicroFigures> {
  const { call, operations } = typeof each === "function" ? { call: each, operations: 1 } : each;
  const { p50: time } = await measure(() => do_not_optimize(call()));
  const calls = Math.max(2000, Math.min(200_000, 5e8 / time));
  // The minimum of three, because code that is compiled meanwhile is on the heap too.
  const grown = Math.min(...[1, 2, 3].map(() => heapGrowth(calls, call))) / operations;
  return { name, nanoseconds: time / operations, bytes: grown < 0.5 ? 0 : grown };
}
