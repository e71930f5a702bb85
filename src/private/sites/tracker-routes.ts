import type { Route, RouteResponse } from "../../http/routes.ts";
import type { PrivateOptions } from "../options.ts";
import { readSecret } from "./create-site.ts";
import { Secret } from "./site-listener.ts";

/** Serves a call of the site; undefined while nobody can. */
export type SiteCall = (target: string) => Promise<RouteResponse | undefined>;

/**
 * Returns the routes of the site's calls on the addresses of announces.
 * @throws Error for a secret that is missing or weak
 */
export function createTrackerRoutes(
  { secretFile, reportSecretFile }: Pick<PrivateOptions, "secretFile" | "reportSecretFile">,
  call: SiteCall,
): Route[] {
  const route = (name: string, file: string): Route[] => {
    const text = readSecret(file);
    if (text === undefined) return [];
    const secret = new Secret(text);
    const handle: Route["handle"] = async ({ target, path }) => {
      // Calls of strangers must not occupy the accountant.
      if (!secret.is(path.slice(1, path.indexOf("/", 1)))) return refuse(403, "Authentication failure");
      const response = await call(target).catch(() => undefined);
      return response ?? refuse(503, "failure: the tracker is starting");
    };
    return [{ path: `/:any/${name}`, needsHost: false, handle }];
  };
  return [...route("update", secretFile), ...route("report", reportSecretFile)];
}

function refuse(status: 403 | 503, body: string): RouteResponse {
  return { status, type: "text/plain", body, headers: { connection: "close" } };
}
