import type { z } from "zod";
import type { ListOptions } from "../../middleware/access-list/shared-list.ts";
import { choice, duration, integer, list, type Value } from "../values.ts";

/** Whether the source of a list is a URL rather than a file. */
export function isUrl(source: string): boolean {
  return /^https?:/i.test(source);
}

function location(item: string): string | undefined {
  if (!isUrl(item)) return item === "" ? "expected a file or a URL" : undefined;
  const url = URL.canParse(item) ? new URL(item) : undefined;
  if (url === undefined) return "not a URL that can be read"; // not which one: there may be a secret in it
  return url.username !== "" || url.password !== "" ? "a URL with a user cannot be fetched" : undefined;
}

/** A key that may be left out. */
type Key<T> = z.ZodPrefault<Value<T>>;

/** Keys of the options of a hook that takes lists from files and URLs. */
export const listKeys: {
  whitelist_from: Key<readonly string[]>;
  blacklist_from: Key<readonly string[]>;
  check_interval: Key<number>;
  fetch_interval: Key<number>;
  max_entries: Key<number>;
  on_failure: Key<"refuse" | "allow">;
} = {
  whitelist_from: list({ check: location })
    .prefault([])
    .describe("Files and `http(s)` URLs with more of the whitelist, an entry a line or a JSON array."),
  blacklist_from: list({ check: location }).prefault([]).describe("The same for the blacklist."),
  check_interval: duration(0.01)
    .prefault("10s")
    .describe("Time between two looks whether a file has changed."),
  fetch_interval: duration(1).prefault("5m").describe("Time between two requests for a URL."),
  max_entries: integer(1, 100_000_000)
    .prefault("2000000")
    .describe("Most entries from files and URLs; a list that has more is not taken."),
  on_failure: choice(["refuse", "allow"])
    .prefault("refuse")
    .describe("What happens to requests while no list could be loaded at all."),
};

type Listed = { [key in keyof typeof listKeys]: z.output<(typeof listKeys)[key]> };

/** Whether one of the lists comes from elsewhere. */
export function hasSources({ whitelist_from, blacklist_from }: Listed): boolean {
  return whitelist_from.length + blacklist_from.length > 0;
}

/** What is behind the keys. */
export function toListOptions(value: Listed): ListOptions {
  return {
    whitelistFrom: value.whitelist_from,
    blacklistFrom: value.blacklist_from,
    checkInterval: value.check_interval,
    fetchInterval: value.fetch_interval,
    maxEntries: value.max_entries,
    onFailure: value.on_failure,
  };
}
