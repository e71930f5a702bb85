import { ClientError } from "../../bittorrent/client-error.ts";
import { choice, duration, integer, type MayBeMissing, sources, type Value } from "../../options/index.ts";
import type { ListOptions } from "./shared-list.ts";

/** Refuses requests while no list is loaded. */
export const listNotLoaded: ClientError = new ClientError("access list is not loaded", "list-not-loaded", {
  retryIn: 1,
});

/** Options of a hook that approves requests by lists. */
export interface ApprovalOptions extends ListOptions {
  /** Entries in the config itself. */
  readonly whitelist: readonly string[];
  readonly blacklist: readonly string[];
}

/** The options of {@link listKeys}; all have a default. */
export type ListDefaults = keyof ListOptions;

type Key<T> = Value<T> & MayBeMissing;

const whenMissing = ({ onFailure }: Readonly<Record<string, unknown>>): string =>
  `a tracker that starts without it ${onFailure === "refuse" ? "refuses" : "allows"} all requests (on_failure)`;

/** Option keys of a hook with lists from files and URLs. */
export const listKeys: {
  readonly whitelist_from: Key<readonly string[]>;
  readonly blacklist_from: Key<readonly string[]>;
  readonly check_interval: Key<number>;
  readonly fetch_interval: Key<number>;
  readonly max_entries: Key<number>;
  readonly on_failure: Key<"refuse" | "allow">;
} = {
  whitelist_from: sources({ whenMissing })
    .default([])
    .describe(
      "Files and `http(s)` URLs with further entries of the whitelist: one entry per line, or a JSON array.",
    ),
  blacklist_from: sources({ whenMissing })
    .default([])
    .describe("Files and `http(s)` URLs with further entries of the blacklist."),
  check_interval: duration(0.01).default("10s").describe("Time between two checks of the files for changes."),
  fetch_interval: duration(1).default("5m").describe("Time between two requests for a URL."),
  max_entries: integer(1, 100_000_000)
    .default(2_000_000)
    .describe("Maximum number of entries from files and URLs; a longer list is not loaded."),
  on_failure: choice(["refuse", "allow"])
    .default("refuse")
    .describe(
      "Whether the hook refuses or allows requests that it checks, until all its files and URLs have been loaded once.",
    ),
};

/** Checks that there is a whitelist or a blacklist, not both. */
export function checkOneList(
  { whitelist, blacklist, whitelistFrom, blacklistFrom }: ApprovalOptions,
  refuse: (key: "blacklist" | "blacklistFrom", message: string) => void,
): void {
  if (whitelist.length + whitelistFrom.length === 0) return;
  if (blacklist.length + blacklistFrom.length === 0) return;
  const message = "using both whitelist and blacklist is invalid; remove one of the two";
  refuse(blacklist.length > 0 ? "blacklist" : "blacklistFrom", message);
}

/** Whether the entries come from files and URLs too, so that they can change. */
export function hasSources({ whitelistFrom, blacklistFrom }: ListOptions): boolean {
  return whitelistFrom.length + blacklistFrom.length > 0;
}
