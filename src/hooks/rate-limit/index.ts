import { defineHook, type HookDefinition, type WithDefaults } from "../../middleware/define-hook.ts";
import { integer, networks, number, options } from "../../options/index.ts";
import { rateLimited } from "./errors.ts";
import type { RateLimitOptions } from "./rate-limit.ts";

/** Limits the requests of each address. */
export const rateLimit: HookDefinition<
  RateLimitOptions,
  WithDefaults<RateLimitOptions, "addresses" | "exempt">
> = defineHook({
  name: "rate limit",
  description:
    "Refuses announces and scrapes from an address that sends too many, with `rate limit exceeded`. An IPv6 network of 64 bits counts as one address.",
  options: options(
    {
      rate: number({ above: 0 }).describe("Sustained requests per second of one address."),
      burst: integer(1, 1_000_000_000).describe(
        "Requests that an address may send at once after a pause. Must be at least `rate`.",
      ),
      addresses: integer(8, 100_000_000)
        .default(100_000)
        .describe("Number of addresses in the table, at 12 to 24 bytes each."),
      exempt: networks().default([]).describe("Networks without a limit, in CIDR notation."),
    },
    {
      check({ rate, burst }, refuse) {
        // The clock counts whole seconds, so a bucket must hold the tokens of one second.
        if (burst < rate) refuse("burst", "must not be below rate");
      },
    },
  ),
  example: { rate: 20, burst: 1000, exempt: ["192.0.2.0/24"] },
  errors: [rateLimited],
  create: async (options, deps) => (await import("./rate-limit.ts")).createRateLimit(options, deps),
});
