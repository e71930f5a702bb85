/**
 * The built-in hooks, as definitions. The config knows exactly the hooks in this list. A program uses them too:
 *
 *     createTracker({ preHooks: [useHook(rateLimit, { rate: 5, burst: 1000 })] });
 *
 * The options are those of `docs/hooks.md`, with names in camelCase and times in seconds. Each hook loads its code when
 * it is created.
 */

export { type ClientApprovalOptions, clientApproval } from "./client-approval/index.ts";
export { intervalControl } from "./interval-control/index.ts";
export type { IntervalControlOptions } from "./interval-control/interval-control.ts";
export { intervalVariation } from "./interval-variation/index.ts";
export type { IntervalVariationOptions } from "./interval-variation/interval-variation.ts";
export { type IpApprovalOptions, ipApproval } from "./ip-approval/index.ts";
export { jwt } from "./jwt/index.ts";
export type { JwtOptions } from "./jwt/options.ts";
export type { LevelOptions, LocalityOptions } from "./locality/create-locality.ts";
export { locality } from "./locality/index.ts";
export { rateLimit } from "./rate-limit/index.ts";
export type { RateLimitOptions } from "./rate-limit/rate-limit.ts";
export { type TorrentApprovalOptions, torrentApproval } from "./torrent-approval/index.ts";
