import { availableParallelism } from "node:os";
import type { Config } from "./config.ts";

/** The maximum number of workers of `auto`. With more workers the kernel is busier than the workers. */
const maxAutoWorkers = 8;

/** Returns the number of threads that serve clients; with 1 the main thread serves. */
export function countWorkers({ workers }: Pick<Config, "workers">): number {
  return workers === "auto" ? Math.min(availableParallelism(), maxAutoWorkers) : workers;
}
