/**
 * A client for trackers over HTTP, HTTPS and UDP. It serves the command line and the tests: clarity goes before
 * speed, and nothing is kept between two requests.
 */

import type { Family } from "../ip/address.ts";
import type { AnnounceAnswer, AnnounceParameters, SwarmCounts, Transport } from "./exchange.ts";
import { announceOverHttp, scrapeOverHttp } from "./http.ts";
import { TrackerError } from "./tracker-error.ts";
import { announceOverUdp, scrapeOverUdp } from "./udp.ts";

/** How a tracker is asked. */
export interface ClientOptions {
  /** Until when there must be an answer, in milliseconds, name lookup and retransmissions included; default 15,000. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** The IP version to use where the URL has a name; absent takes the first address that works. */
  family?: Family;
  /** Certificate authorities in PEM to trust instead of the usual ones, for `https:`. */
  ca?: string | Uint8Array;
  /** Milliseconds before the first retransmission over UDP, doubled for each further one; BEP 15's 15,000 unless told. */
  retransmitMs?: number;
}

/** Infohashes in one scrape request; Chihaya answers the first 50 unless it is configured otherwise. */
const scrapeBatch = 50;

/**
 * Announces to the tracker at `url` (`http:`, `https:` or `udp:`).
 *
 * Path and query of a `udp:` URL are sent as URL data (BEP 41).
 * @throws TrackerError for whatever goes wrong; the reason of `signal` when it is aborted
 */
export function announce(
  url: string | URL,
  parameters: AnnounceParameters,
  options: ClientOptions = {},
): Promise<AnnounceAnswer> {
  const target = parseUrl(url);
  return within(options, (transport) =>
    target.protocol === "udp:"
      ? announceOverUdp(target, parameters, transport)
      : announceOverHttp(target, parameters, transport),
  );
}

/**
 * Scrapes the tracker whose announce URL is `url`; the scrape URL is derived as BEP 48 says.
 *
 * Asks in batches of 50, one after the other, within one time limit.
 * @param infoHashes  20 bytes each
 * @returns the counts in the order of `infoHashes`, undefined where the tracker did not answer for one
 * @throws TrackerError for whatever goes wrong; the reason of `signal` when it is aborted
 */
export function scrape(
  url: string | URL,
  infoHashes: readonly Uint8Array[],
  options: ClientOptions = {},
): Promise<(SwarmCounts | undefined)[]> {
  const target = parseUrl(url);
  return within(options, async (transport) => {
    const counts: (SwarmCounts | undefined)[] = [];
    for (let i = 0; i < infoHashes.length; i += scrapeBatch) {
      const batch = infoHashes.slice(i, i + scrapeBatch);
      const send = target.protocol === "udp:" ? scrapeOverUdp : scrapeOverHttp;
      counts.push(...(await send(target, batch, transport)));
    }
    return counts;
  });
}

function parseUrl(url: string | URL): URL {
  const target = URL.canParse(String(url)) ? new URL(url) : undefined;
  switch (target?.protocol) {
    case "http:":
    case "https:":
      return target;
    case "udp:":
      if (target.port !== "") return target;
      throw new TrackerError("unsupported", `${url}: a UDP tracker's URL needs a port`);
    default:
      throw new TrackerError("unsupported", `${url}: not a URL of an HTTP, HTTPS or UDP tracker`);
  }
}

/** Runs `request` under the options' time limit, and says so where that was what ended it. */
async function within<T>(options: ClientOptions, request: (transport: Transport) => Promise<T>): Promise<T> {
  const { timeoutMs = 15_000, signal: caller, family, ca, retransmitMs = 15_000 } = options;
  caller?.throwIfAborted();
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timeoutMs);
  const signal = caller ? AbortSignal.any([caller, limit.signal]) : limit.signal;
  try {
    return await request({ signal, family, ca, retransmitMs });
  } catch (error) {
    caller?.throwIfAborted();
    if (limit.signal.aborted) {
      throw new TrackerError("timeout", `no response within ${timeoutMs} ms`, { cause: error });
    }
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
