import { z } from "zod";
import type { ClientApprovalOptions } from "../../hooks/client-approval/client-approval.ts";
import type { IntervalControlOptions } from "../../hooks/interval-control/interval-control.ts";
import type { IntervalVariationOptions } from "../../hooks/interval-variation/interval-variation.ts";
import type { IpApprovalOptions } from "../../hooks/ip-approval/ip-approval.ts";
import type { JwtOptions } from "../../hooks/jwt/options.ts";
import type { LocalityOptions } from "../../hooks/locality/create-locality.ts";
import type { RateLimitOptions } from "../../hooks/rate-limit/rate-limit.ts";
import type { TorrentApprovalOptions } from "../../hooks/torrent-approval/torrent-approval.ts";
import { nearest } from "../../lib/nearest.ts";
import { clientApproval, torrentApproval } from "./approval.ts";
import type { BuiltInHook } from "./built-in.ts";
import { intervalControl } from "./interval-control.ts";
import { intervalVariation } from "./interval-variation.ts";
import { ipApproval } from "./ip-approval.ts";
import { jwt } from "./jwt.ts";
import { locality } from "./locality.ts";
import { type ModuleHookConfig, moduleHook, nameModule } from "./module.ts";
import { rateLimit } from "./rate-limit.ts";

/** A hook by name, with options that have passed its schema. */
export type HookConfig =
  | { name: "client approval"; options: ClientApprovalOptions }
  | { name: "torrent approval"; options: TorrentApprovalOptions }
  | { name: "ip approval"; options: IpApprovalOptions }
  | { name: "interval variation"; options: IntervalVariationOptions }
  | { name: "jwt"; options: JwtOptions }
  | { name: "interval control"; options: IntervalControlOptions }
  | { name: "rate limit"; options: RateLimitOptions }
  | { name: "locality"; options: LocalityOptions }
  | ModuleHookConfig;

/** The hooks that the tracker brings along, in the order of the documentation. */
export const builtInHooks: readonly BuiltInHook[] = [
  clientApproval,
  torrentApproval,
  ipApproval,
  intervalVariation,
  jwt,
  intervalControl,
  rateLimit,
  locality,
];

const names = builtInHooks.map(({ name }) => name);
const schemas = [...builtInHooks.map(({ schema }) => schema), moduleHook];

/** A hook of the lists `prehooks` and `posthooks`. */
export const hookSchema: z.ZodType<HookConfig> = z.preprocess(
  nameModule,
  z.discriminatedUnion("name", schemas as unknown as [z.core.$ZodTypeDiscriminable], {
    error: (issue) => {
      if (issue.code !== "invalid_union") return "expected a hook: a mapping with name and options";
      const { name } = issue.input as { name?: unknown };
      const known = `known hooks are ${names.map((known) => JSON.stringify(known)).join(", ")}`;
      if (typeof name !== "string") return `a hook needs a name, or the module it comes from; ${known}`;
      const near = nearest(name, names);
      return `unknown hook ${JSON.stringify(name.slice(0, 60))}; ${near ? `did you mean ${JSON.stringify(near)}?` : known}`;
    },
  }),
) as z.ZodType<HookConfig>;
