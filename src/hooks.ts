/**
 * The built-in hooks as definitions, for programs that make their own tracker:
 *
 *     createTracker({ preHooks: [useHook(rateLimit, { rate: 5, burst: 1000 })] });
 *
 * Options are those of `docs/hooks.md` as values, times in seconds. Each hook loads its code when it is made.
 */

import type { ClientApprovalOptions } from "./hooks/client-approval/client-approval.ts";
import type { IntervalControlOptions } from "./hooks/interval-control/interval-control.ts";
import type { IntervalVariationOptions } from "./hooks/interval-variation/interval-variation.ts";
import type { IpApprovalOptions } from "./hooks/ip-approval/ip-approval.ts";
import type { JwtOptions } from "./hooks/jwt/options.ts";
import type { LocalityOptions } from "./hooks/locality/create-locality.ts";
import type { RateLimitOptions } from "./hooks/rate-limit/rate-limit.ts";
import type { TorrentApprovalOptions } from "./hooks/torrent-approval/torrent-approval.ts";
import type { ListOptions } from "./middleware/access-list/shared-list.ts";
import type { HookDefinition } from "./middleware/define-hook.ts";
import type { FurtherStoreOptions } from "./middleware/shared-state.ts";

export type {
  ClientApprovalOptions,
  IntervalControlOptions,
  IntervalVariationOptions,
  IpApprovalOptions,
  JwtOptions,
  ListOptions,
  LocalityOptions,
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
  async ({ lists, ...fixed }, deps) => {
    const client = await import("./hooks/client-approval/client-approval.ts");
    if (lists === undefined) return client.createClientApproval(fixed);
    return client.createClientLists({ ...fixed, lists }, deps);
  },
);

/** Lets torrents pass by infohash. */
export const torrentApproval: HookDefinition<TorrentApprovalOptions, TorrentApprovalOptions> = builtIn(
  "torrent approval",
  {},
  async ({ lists, ...fixed }, deps) => {
    const torrent = await import("./hooks/torrent-approval/torrent-approval.ts");
    if (lists === undefined) return torrent.createTorrentApproval(fixed);
    return torrent.createTorrentLists({ ...fixed, lists }, deps);
  },
);

/** Lets peers pass by address. */
export const ipApproval: HookDefinition<IpApprovalOptions, IpApprovalOptions> = builtIn(
  "ip approval",
  {},
  async (options, deps) =>
    (await import("./hooks/ip-approval/ip-approval.ts")).createIpApproval(options, deps),
);

/** Lengthens some intervals. */
export const intervalVariation: HookDefinition<IntervalVariationOptions, IntervalVariationOptions> = builtIn(
  "interval variation",
  {},
  async (options) =>
    (await import("./hooks/interval-variation/interval-variation.ts")).createIntervalVariation(options),
);

const intervalDefaults = { fewPeers: 10, manyPeers: 1000, jitter: 0, jitterBy: "uniform" } as const;

/** Sets intervals by the size of the swarm. */
export const intervalControl: HookDefinition<
  IntervalControlOptions,
  WithDefaults<IntervalControlOptions, typeof intervalDefaults>
> = builtIn("interval control", intervalDefaults, async (options) =>
  (await import("./hooks/interval-control/interval-control.ts")).createIntervalControl(options),
);

const rateDefaults = { addresses: 100_000, exempt: [] } as const;

/** Limits the requests of each address. */
export const rateLimit: HookDefinition<
  RateLimitOptions,
  WithDefaults<RateLimitOptions, typeof rateDefaults>
> = builtIn("rate limit", rateDefaults, async (options, deps) =>
  (await import("./hooks/rate-limit/rate-limit.ts")).createRateLimit(options, deps),
);

const jwtDefaults = {
  jwkSetUpdateInterval: 300,
  jwkSetTimeout: 5,
  jwkSetMaxAge: 86_400,
  algorithms: ["RS256"],
  leeway: 30,
  parameters: ["jwt"],
  cacheSize: 65_536,
} as const;

/** Lets announces pass by a token in their URL; needs the package jose. */
export const jwt: HookDefinition<JwtOptions, WithDefaults<JwtOptions, typeof jwtDefaults>> = builtIn(
  "jwt",
  jwtDefaults,
  async (options, deps) => (await import("./hooks/jwt/jwt.ts")).createJwt(options, deps),
);

const localityDefaults = {
  remoteQuota: 0.2,
  order: "near-first",
  maxPeers: 2_000_000,
  peerLifetime: 1860,
  gcInterval: 180,
} as const;

/** What `locality` is told, with the lifetime of peers in the tracker's store, seconds. */
export type LocalityDefinitionOptions = LocalityOptions &
  Pick<FurtherStoreOptions, "peerLifetime" | "gcInterval">;

/** Puts peers from the announcer's neighbourhood first. */
export const locality: HookDefinition<
  LocalityDefinitionOptions,
  WithDefaults<LocalityDefinitionOptions, typeof localityDefaults>
> = builtIn("locality", localityDefaults, async ({ peerLifetime, gcInterval, ...options }, deps) => {
  const { createLocality } = await import("./hooks/locality/create-locality.ts");
  return createLocality(options, { peerLifetime, gcInterval }, deps);
});
