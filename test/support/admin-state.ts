import type { Clock } from "../../src/lib/clock.ts";
import { BanMemory } from "../../src/middleware/bans/ban-memory.ts";
import { type Logger, silentLogger } from "../../src/observability/logger.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { AdminState } from "../../src/operator/state/admin-state.ts";

/** Creates what operators have changed, with room for 1,000 bans of each kind. Not started. */
export async function createAdminState(
  given: { path?: string; clock?: Clock; logger?: Logger; metrics?: Metrics } = {},
): Promise<{ state: AdminState; memory: BanMemory }> {
  const { path = "", clock = { seconds: 0, unixSeconds: 0 }, logger = silentLogger } = given;
  const memory = await BanMemory.open(async (_name, bytes) => new SharedArrayBuffer(bytes), 1000);
  const metrics = given.metrics ?? new Metrics();
  return { state: new AdminState(path, { clock, logger, metrics, memory }), memory };
}
