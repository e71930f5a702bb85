import { TrackerError } from "./tracker-error.ts";

/**
 * Derives the scrape URL from an announce URL (BEP 48): in the last part of the path, `announce` at its start becomes
 * `scrape`; the query stays. A URL that is a scrape URL already is taken as it is.
 * @throws TrackerError where the last part starts with neither: such a tracker cannot be scraped
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
      `${announceUrl}: cannot be scraped, as the last part of its path does not start with "announce" (BEP 48)`,
    );
  }
  return url;
}
