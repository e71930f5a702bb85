import { formatCount, formatDuration } from "../../src/lib/quantities.ts";
import type { Stats } from "./api.ts";

/** Something that happened. */
export interface Entry {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly level: "info" | "warn" | "error";
  readonly text: string;
}

/** Returns what happened between two states of the tracker. */
export function compare(before: Stats, after: Stats): Omit<Entry, "at">[] {
  if (after.uptime_seconds < before.uptime_seconds) {
    const since = formatDuration(after.uptime_seconds);
    return [{ level: "warn", text: `The tracker was started again ${since} ago, version ${after.version}.` }];
  }
  const found: Omit<Entry, "at">[] = [];
  const restarts = after.process.worker_restarts - before.process.worker_restarts;
  if (restarts > 0) found.push({ level: "error", text: `${restarts} worker(s) died and were replaced.` });
  const refused = after.store.refused - before.store.refused;
  if (refused > 0 && before.store.refused === 0)
    found.push({ level: "error", text: `The store is full: ${formatCount(refused)} peers were refused.` });
  const known = new Set(before.errors.map(({ protocol, error }) => `${protocol} ${error}`));
  for (const { protocol, error } of after.errors) {
    if (!known.has(`${protocol} ${error}`))
      found.push({ level: "info", text: `First error response "${error}" over ${protocol.toUpperCase()}.` });
  }
  return found;
}
