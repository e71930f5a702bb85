import { type Block, boolean, networks, options, text } from "../../../options/index.ts";
import { type LiveSyncOptions, liveSyncOptions } from "../../../storage/live-sync/options.ts";

/** The options of the pages that users of opentracker know. */
export interface OpentrackerOptions {
  /** Path of the statistics; begins with `/`. */
  readonly statsPath: string;
  /** Networks and addresses of clients that may read the statistics. */
  readonly statsFrom: readonly string[];
  /** Whether a scrape without infohashes lists all torrents. */
  readonly fullScrape: boolean;
  /** Where `/` leads to; "" for a line of text. */
  readonly redirectUrl: string;
  /** Named pipes that change the list of the hook `torrent approval`; "" for none. */
  readonly fifoAdd: string;
  readonly fifoDelete: string;
  /** Exchanges peers with other trackers; undefined if that is off. */
  readonly livesync?: LiveSyncOptions | undefined;
}

function checkPath(path: string): string | undefined {
  return /^(?:\/[\w.~-]+)+$/.test(path)
    ? undefined
    : 'expected a path of letters, digits, "-", "_", "." and "~": /stats';
}

/** The URL becomes a header, so it is one line of printable ASCII, and no script. */
function checkRedirect(url: string): string | undefined {
  if (url === "") return undefined;
  const protocol = /^[!-~]+$/.test(url) ? URL.parse(url)?.protocol : undefined;
  return protocol === "http:" || protocol === "https:"
    ? undefined
    : "expected a URL with http or https, without blanks: https://example.org/";
}

/** Describes the block `http.opentracker`. */
export const opentrackerOptions: Block<Partial<OpentrackerOptions>, Partial<OpentrackerOptions>> = options({
  stats_path: text({ check: checkPath })
    .default("/stats")
    .describe(
      "Path of the statistics: `?mode=` selects one of opentracker's, a browser gets a page, and the same path with `.json` " +
        "is JSON. A path that nobody can guess is a protection too.",
    ),
  stats_from: networks()
    .default(["127.0.0.0/8", "::1"])
    .describe(
      "Networks and addresses of clients that may read the statistics and make any number of full scrapes. Behind a proxy, " +
        "the address of the client decides, not that of the proxy. `[0.0.0.0/0, ::/0]` is everybody.",
    ),
  full_scrape: boolean()
    .default(false)
    .describe(
      "Whether a scrape without infohashes lists all torrents. Everybody may make one each five minutes, and clients in " +
        "`stats_from` as many as they like.",
    ),
  redirect_url: text({ check: checkRedirect })
    .default("")
    .describe('URL that `/` redirects browsers to; "" for a line of text.'),
  fifo_add: text()
    .default("")
    .describe(
      "Named pipe of infohashes, one in a line, that are added to the list of the hook `torrent approval` until the next " +
        "reload. The tracker creates a missing pipe.",
    ),
  fifo_delete: text()
    .default("")
    .describe("Named pipe of infohashes that are removed from the list of the hook `torrent approval`."),
  livesync: liveSyncOptions
    .optional()
    .describe(
      "Exchanges peers with other trackers in the same network, by opentracker's live sync. Without the block it is off.",
    ),
});

/** Returns the options of a program with the defaults of omitted ones. */
export function withDefaults(given: Partial<OpentrackerOptions>): OpentrackerOptions {
  return { ...(opentrackerOptions.validate({}, "program") as { value: OpentrackerOptions }).value, ...given };
}
