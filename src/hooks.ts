/**
 * The built-in hooks as definitions, for programs that make their own tracker:
 *
 *     createTracker({ preHooks: [useHook(rateLimit, { rate: 5, burst: 1000 })] });
 *
 * Options are those of `docs/hooks.md` as values, times in seconds. Each hook loads its code when it is made.
 */
import type { ClientApprovalOptions } from "./middleware/client-approval/client-approval.ts";
import type { HookDefinition } from "./middleware/define-hook.ts";
import type { IntervalControlOptions } from "./middleware/interval-control/interval-control.ts";
import type { IntervalVariationOptions } from "./middleware/interval-variation/interval-variation.ts";
import type { RateLimitOptions } from "./middleware/rate-limit/rate-limit.ts";
import type { TorrentApprovalOptions } from "./middleware/torrent-approval/torrent-approval.ts";

export type {
  ClientApprovalOptions,
  IntervalControlOptions,
  IntervalVariationOptions,
  RateLimitOptions,
  TorrentApprovalOptions,
};

/** Options where those that have a default may be left out. */
export type WithDefaults<Options, Defaults> = Omit<Options, keyof Defaults> & Partial<Options>;

function builtIn<Options extends object, Defaults extends Partial<Options>>(
  name: string,
  defaults: Defaults,
  create: HookDefinition<Options>["create"],
): HookDefinition<Options, WithDefaults<Options, Defaults>> {
  const validate = (given: unknown) => ({ value: { ...defaults, ...(given as Options) } });
  return { name, options: { "~standard": { version: 1, vendor: "chihaya", validate } }, create };
}

/** Lets announces pass by client. */
export const clientApproval: HookDefinition<ClientApprovalOptions, ClientApprovalOptions> = builtIn(
  "client approval",
  {},
  async (options) =>
    (await import("./middleware/client-approval/client-approval.ts")).createClientApproval(options),
);

/** Lets torrents pass by infohash. */
export const torrentApproval: HookDefinition<TorrentApprovalOptions, TorrentApprovalOptions> = builtIn(
  "torrent approval",
  {},
  async (options) =>
    (await import("./middleware/torrent-approval/torrent-approval.ts")).createTorrentApproval(options),
);

/** Lengthens some intervals. */
export const intervalVariation: HookDefinition<IntervalVariationOptions, IntervalVariationOptions> = builtIn(
  "interval variation",
  {},
  async (options) =>
    (await import("./middleware/interval-variation/interval-variation.ts")).createIntervalVariation(options),
);

const intervalDefaults = { fewPeers: 10, manyPeers: 1000, jitter: 0, jitterBy: "uniform" } as const;

/** Sets intervals by the size of the swarm. */
export const intervalControl: HookDefinition<
  IntervalControlOptions,
  WithDefaults<IntervalControlOptions, typeof intervalDefaults>
> = builtIn("interval control", intervalDefaults, async (options) =>
  (await import("./middleware/interval-control/interval-control.ts")).createIntervalControl(options),
);

const rateDefaults = { addresses: 100_000, exempt: [] } as const;

/** Limits the requests of each address. */
export const rateLimit: HookDefinition<
  RateLimitOptions,
  WithDefaults<RateLimitOptions, typeof rateDefaults>
> = builtIn("rate limit", rateDefaults, async (options, deps) =>
  (await import("./middleware/rate-limit/rate-limit.ts")).createRateLimit(options, deps),
);
