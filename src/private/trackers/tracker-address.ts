import { isIP } from "node:net";

const scheme = "tracker://";
const longestPort = 65_535;

/** Where the accounts of a further tracker are. */
export interface TrackerAddress {
  host: string;
  port: number;
}

/** Whether the users and the accounts of a site are on another tracker. */
export function isOnTracker(database: string): boolean {
  return database.startsWith(scheme);
}

/** Parses `tracker://host:port`. @returns undefined for another text */
export function parseTracker(database: string): TrackerAddress | undefined {
  const [, bracketed, plain, digits] =
    /^tracker:\/\/(?:\[([^\]]+)\]|([^:/[\]]+)):(\d{1,5})\/?$/.exec(database) ?? [];
  const port = Number(digits ?? 0);
  if (port < 1 || port > longestPort) return undefined;
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? { host: bracketed, port } : undefined;
  return { host: plain!, port };
}
