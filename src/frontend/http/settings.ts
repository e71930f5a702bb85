import { Networks } from "../../ip/networks.ts";
import type { AnnounceQueryOptions } from "../../protocol/http/announce-query.ts";
import { Router } from "../../protocol/router.ts";
import type { HttpOptions } from "./options.ts";

/** The options of the frontend as requests use them; replaced as a whole by a reload. */
export interface HttpSettings extends AnnounceQueryOptions {
  readonly options: HttpOptions;
  readonly router: Router;
  /** Clients whose `ip`, `ipv4` and `ipv6` are believed; undefined for all. */
  readonly spoofers: Networks | undefined;
}

/** @throws RangeError for a route or a network that cannot be used */
export function createSettings(options: HttpOptions): HttpSettings {
  return {
    options,
    router: new Router(options.announceRoutes, options.scrapeRoutes),
    spoofers: options.ipSpoofingFrom.length > 0 ? Networks.parse(options.ipSpoofingFrom) : undefined,
    maxNumWant: options.maxNumWant,
    defaultNumWant: options.defaultNumWant,
    allowIpSpoofing: options.allowIpSpoofing,
  };
}
