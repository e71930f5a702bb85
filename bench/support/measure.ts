import type { LatencySummary } from "../../src/load/histogram.ts";
import { HttpLoad } from "../../src/load/http-load.ts";
import type { Load, LoadResult } from "../../src/load/load.ts";
import type { PopulationShape } from "../../src/load/population.ts";
import { UdpLoad } from "../../src/load/udp-load.ts";
import { numWant, type Workload } from "./contestants.ts";
import type { Server } from "./server.ts";

/** The results of one run of a load. */
export interface Figures {
  requestsPerSecond: number;
  /** CPU time of the server per response, in microseconds. */
  cpuMicroseconds: number;
  /** Processors that the server kept busy. A value well below the number of its threads means that the load was too small. */
  busy: number;
  rssMiB: number;
  peersPerAnswer: number;
  lost: number;
  errors: number;
  /** Latencies of a run at a fixed rate. */
  latency?: LatencySummary;
}

/** Further options of a load; see the generators. */
export interface MoreOptions {
  connections?: number;
  window?: number;
}

export function createLoad(
  server: Server,
  workload: Workload,
  shape: PopulationShape,
  more: MoreOptions = {},
): Promise<Load> {
  const { udp, http } = server.ports;
  const options = { host: "127.0.0.1", numWant, ...more, ...shape };
  if (workload === "udp") return UdpLoad.create({ ...options, port: udp });
  return HttpLoad.create({ ...options, port: http, keepAlive: workload === "http-keep-alive" });
}

/** Runs a load for some seconds, at a rate or as fast as the server responds, and measures the cost for the server. */
export function measure(server: Server, load: Load, seconds: number, rate?: number): Figures {
  const before = server.cpuMs();
  const started = performance.now();
  const result = load.run(rate === undefined ? { seconds } : { seconds, rate });
  const cpuMs = server.cpuMs() - before;
  const elapsedMs = performance.now() - started;
  return {
    requestsPerSecond: result.rate,
    cpuMicroseconds: (1000 * cpuMs) / result.answered,
    busy: cpuMs / elapsedMs,
    rssMiB: server.rssMiB(),
    peersPerAnswer: result.peersPerAnswer,
    lost: result.lost,
    errors: result.errors,
    ...(rate === undefined ? {} : { latency: result.latency.summary() }),
  };
}

/** Announces the whole population over UDP. */
export async function fill(server: Server, shape: PopulationShape): Promise<LoadResult> {
  const load = await createLoad(server, "udp", shape);
  const result = load.fill();
  load.close();
  return result;
}

/** @param values  at least one */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
