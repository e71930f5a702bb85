import type { Upgrader } from "../http/handler.ts";
import type { HttpServerOptions } from "../http/options.ts";

/** Where the frontend with the HTTP listeners meets the frontend that takes over some of their connections. One in each worker. */
export interface Handover {
  /** Takes over connections; undefined while no frontend does. */
  upgrader?: Upgrader | undefined;
  /** The frontend with the listeners; undefined if HTTP is off. */
  http?:
    | {
        /** Returns the bound addresses as URLs. */
        urls(): string[];
        /** Returns the options of the server, and the routes of announces, as they are now. */
        options(): HttpServerOptions & { readonly announceRoutes: readonly string[] };
      }
    | undefined;
}
