/** The route that a path belongs to. */
export interface RouteMatch {
  readonly action: "announce" | "scrape";
  /** Decoded named and catch-all parameters (Latin-1), or undefined where the route has none. */
  readonly params: ReadonlyMap<string, string> | undefined;
}

/** One route that cannot be used. */
export interface RouteProblem {
  readonly action: "announce" | "scrape";
  /** Its index among the routes of that action. */
  readonly index: number;
  readonly message: string;
}

/** Lists what is wrong with routes: bad syntax, or one that another makes unreachable. */
export function validateRoutes(
  _announceRoutes: readonly string[],
  _scrapeRoutes: readonly string[],
): RouteProblem[] {
  return [];
}

/** Tells announces from scrapes by their paths. */
export class Router {
  /** @throws RangeError with the first problem of {@link validateRoutes} */
  constructor(_announceRoutes: readonly string[], _scrapeRoutes: readonly string[]) {}

  /** Finds the route of the path `bytes[start..pathEnd)`. */
  match(_bytes: Uint8Array, _start: number, _pathEnd: number): RouteMatch | undefined {
    return undefined;
  }
}
