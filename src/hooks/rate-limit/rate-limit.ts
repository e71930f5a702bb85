import type { Address } from "../../ip/address.ts";
import { Networks } from "../../ip/networks.ts";
import { Buckets, bucketBytes } from "../../middleware/buckets.ts";
import type { HookDeps } from "../../middleware/define-hook.ts";
import type { Hook } from "../../middleware/hook.ts";
import { rateLimited } from "./errors.ts";

/** The options of `rate limit`. */
export interface RateLimitOptions {
  /** Sustained requests per second of one address. */
  rate: number;
  /** Requests that an address may send at once after a pause; at least 1 and at least `rate`. */
  burst: number;
  /** Number of addresses in the table. */
  addresses: number;
  /** Networks without a limit, in CIDR notation. */
  exempt: readonly string[];
}

/**
 * Creates the prehook `rate limit`: limits announces and scrapes of each address, over all workers, with a token
 * bucket.
 */
export async function createRateLimit(
  { rate, burst, addresses, exempt }: RateLimitOptions,
  { clock, shared }: Pick<HookDeps, "clock" | "shared">,
): Promise<Hook> {
  const spared = Networks.parse(exempt);
  const memory = await shared.buffer("buckets", bucketBytes(addresses));
  const buckets = new Buckets(memory, rate, burst);
  const check = (address: Address) =>
    (spared.size > 0 && spared.contains(address)) || buckets.take(address, clock.seconds)
      ? undefined
      : rateLimited;
  return {
    name: "rate limit",
    handleAnnounce: (request) => check(request.address),
    handleScrape: (request) => check(request.address),
  };
}
