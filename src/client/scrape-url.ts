import { TrackerError } from "./tracker-error.ts";

/**
 * Derives the scrape URL from an announce URL (BEP 48): replaces `announce` at the start of the last part of the path by
 * `scrape`, and keeps the query. Returns a scrape URL unchanged.
 * @throws TrackerError if the last part starts with neither word: such a tracker cannot be scraped
 */
export function scrapeUrl(announceUrl: URL): URL {
  const slash = announceUrl.pathname.lastIndexOf("/");
  const last = announceUrl.pathname.slice(slash + 1);
  const url = new URL(announceUrl);
  if (last.startsWith("announce")) {
    url.pathname = `${announceUrl.pathname.slice(0, slash + 1)}scrape${last.slice("announce".length)}`;
  } else if (!last.startsWith("scrape")) {
    throw new TrackerError(
      "unsupported",
      `${announceUrl}: cannot be scraped, because the last part of its path does not start with "announce" (BEP 48)`,
    );
  }
  return url;
}
