import { ClientError } from "../../bittorrent/client-error.ts";
import { infoHashLength, parseInfoHash } from "../../bittorrent/info-hash.ts";
import { InfoHashSet } from "../../bittorrent/info-hash-set.ts";
import type { Hook } from "../hook.ts";

/** What `torrent approval` is told: at most one of the lists. */
export interface TorrentApprovalOptions {
  /** Infohashes in hexadecimal, the only ones that are tracked. */
  whitelist?: readonly string[];
  /** Infohashes in hexadecimal that are not tracked. */
  blacklist?: readonly string[];
}

/** Refuses a torrent; it would be refused again. */
export const unapprovedTorrent: ClientError = new ClientError("unapproved torrent", "unapproved-torrent", {
  retryIn: "never",
});

/**
 * Creates the prehook `torrent approval`: announces pass by their infohash, and a scrape shows torrents that
 * would not pass as unknown. Without lists everything passes.
 * @throws RangeError for an entry that is no infohash, and for two lists
 */
export function createTorrentApproval(options: TorrentApprovalOptions): Hook {
  const { whitelist = [], blacklist = [] } = options;
  const isWhitelist = whitelist.length > 0;
  const listed = new InfoHashSet();
  addAll(listed, "whitelist", whitelist);
  addAll(listed, "blacklist", blacklist);
  if (isWhitelist && blacklist.length > 0) {
    throw new RangeError("using both whitelist and blacklist is invalid");
  }
  return {
    name: "torrent approval",
    handleAnnounce(request) {
      return listed.has(request.infoHashWords) === isWhitelist ? undefined : unapprovedTorrent;
    },
    handleScrape(request) {
      for (let i = 0; i < request.count; i++) {
        if (listed.has(request.infoHashWords, (i * infoHashLength) / 4) !== isWhitelist) request.hide(i);
      }
    },
  };
}

function addAll(set: InfoHashSet, list: "whitelist" | "blacklist", infoHashes: readonly string[]): void {
  for (const text of infoHashes) {
    if (!/^([0-9a-f]{2})*$/i.test(text)) throw new RangeError(`${list} : invalid hash ${text}`);
    const bytes = parseInfoHash(text);
    if (!bytes) throw new RangeError(`${list} : hash ${text} is not 20 bytes`);
    set.add(new Int32Array(bytes.buffer));
  }
}
