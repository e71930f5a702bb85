import { validateRoutes } from "../protocol/router.ts";

/** The routes of Gazelle, and those of UNIT3D, which libtorrent accepts on loopback addresses too. */
const announceRoutes = ["/:passkey/announce", "/announce/:passkey"];
const scrapeRoutes = ["/:passkey/scrape", "/scrape/:passkey"];

/** The routes of a frontend. */
interface Routes {
  announceRoutes: readonly string[];
  scrapeRoutes?: readonly string[];
}

/** Adds the routes with passkeys to a frontend, except where the frontend has other routes with the same paths. */
export function withPasskeyRoutes<Options extends Routes>(options: Options): Options {
  const announces = [...options.announceRoutes];
  const scrapes = [...(options.scrapeRoutes ?? [])];
  for (const route of announceRoutes)
    if (validateRoutes([...announces, route], scrapes).length === 0) announces.push(route);
  if (options.scrapeRoutes === undefined) return { ...options, announceRoutes: announces };
  for (const route of scrapeRoutes)
    if (validateRoutes(announces, [...scrapes, route]).length === 0) scrapes.push(route);
  return { ...options, announceRoutes: announces, scrapeRoutes: scrapes };
}
