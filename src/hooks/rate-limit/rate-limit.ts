import type { Address } from "../../ip/address.ts";
import { Networks } from "../../ip/networks.ts";
import type { HookDeps } from "../../middleware/define-hook.ts";
import type { Hook } from "../../middleware/hook.ts";
import { Buckets, bucketBytes } from "./buckets.ts";
import { rateLimited } from "./errors.ts";

/** What `rate limit` is told. */
export interface RateLimitOptions {
  /** Requests a second that an address may keep up. */
  rate: number;
  /** Requests that it may make at once after a pause; at least 1 and at least `rate`. */
  burst: number;
  /** Addresses that are told apart. */
  addresses: number;
  /** Networks in CIDR notation that are not limited. */
  exempt: readonly string[];
}

/**
 * Creates the prehook `rate limit`: announces and scrapes of an address, all workers together, by a token bucket.
 * @throws RangeError for options out of range
 */
export async function createRateLimit(
  { rate, burst, addresses, exempt }: RateLimitOptions,
  { clock, shared }: Pick<HookDeps, "clock" | "shared">,
): Promise<Hook> {
  if (!(rate > 0)) throw new RangeError("invalid rate");
  // The clock counts whole seconds: what comes back in one must fit into the bucket.
  if (!(burst >= 1 && burst >= rate)) throw new RangeError("burst must be at least 1 and at least rate");
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
