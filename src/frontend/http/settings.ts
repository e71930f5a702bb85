import type { Routes } from "../../http/routes.ts";
import { Networks } from "../../ip/networks.ts";
import type { AnnounceQueryOptions } from "../../protocol/http/announce-query.ts";
import { Router } from "../../protocol/router.ts";
import type { HttpOptions } from "./options.ts";

/** The parsed options of the frontend; a reload replaces the whole object. */
export interface HttpSettings extends AnnounceQueryOptions {
  readonly options: HttpOptions;
  readonly router: Router;
  /** Responds to requests that are neither announces nor scrapes, if it has their paths. */
  readonly routes: Routes | undefined;
  /** Clients whose `ip`, `ipv4` and `ipv6` are believed; undefined means all clients. */
  readonly spoofers: Networks | undefined;
}

/** Parses the options. @throws RangeError for an invalid route or network */
export function createSettings(options: HttpOptions, routes?: Routes): HttpSettings {
  return {
    options,
    routes,
    router: new Router(options.announceRoutes, options.scrapeRoutes),
    spoofers: options.ipSpoofingFrom.length > 0 ? Networks.parse(options.ipSpoofingFrom) : undefined,
    maxNumWant: options.maxNumWant,
    defaultNumWant: options.defaultNumWant,
    allowIpSpoofing: options.allowIpSpoofing,
  };
}
