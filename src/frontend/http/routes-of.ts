import { Routes } from "../../http/routes.ts";
import type { FrontendDeps } from "../define-frontend.ts";
import { withDefaults } from "./opentracker/options.ts";
import type { HttpOptions } from "./options.ts";

/**
 * Returns a function that creates the routes beside announces from the options: those of the program, and opentracker's pages,
 * whose code is loaded only if they are on at the start.
 */
export async function createRoutesOf(
  { opentracker }: HttpOptions,
  deps: FrontendDeps,
): Promise<(options: HttpOptions) => Routes> {
  const { OpentrackerPages } = opentracker ? await import("./opentracker/pages.ts") : {};
  const pages = await OpentrackerPages?.create(deps);
  return ({ opentracker: options, scrapeRoutes }) => {
    const own = options && pages ? pages.routes(withDefaults(options), scrapeRoutes) : [];
    return new Routes([...deps.routes, ...own], (error) => deps.onError(error));
  };
}
