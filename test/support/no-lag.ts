import type { Lag } from "../../src/observability/event-loop-lag.ts";

/** Stands in for the measurement of a thread whose event loop is never late. */
export const noLag: { read(): Lag } = { read: () => ({ mean: 0, p50: 0, p99: 0, max: 0 }) };
