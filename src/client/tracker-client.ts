/**
 * A client for trackers over HTTP, HTTPS and UDP, for the command line and the tests. The code favours clarity over speed,
 * and keeps no state between two requests.
 */

import type { Family } from "../ip/address.ts";
import type { AnnounceParameters, AnnounceResult, SwarmCounts, Transport } from "./exchange.ts";
import { announceOverHttp, scrapeOverHttp } from "./http.ts";
import { TrackerError } from "./tracker-error.ts";
import { announceOverUdp, scrapeOverUdp } from "./udp.ts";

/** Options of a request. */
export interface ClientOptions {
  /** Time limit in milliseconds, including name lookup and retransmissions; default 15,000. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** IP version to use if the URL has a host name; default: the first address that works. */
  family?: Family;
  /** Certificate authorities in PEM that replace the default ones, for `https:`. */
  ca?: string | Uint8Array;
  /** Milliseconds before the first retransmission over UDP, doubled for each further one; default 15,000 (BEP 15). */
  retransmitMs?: number;
}

/** Maximum number of infohashes in one scrape request: by default Chihaya responds for the first 50. */
const scrapeBatch = 50;

/**
 * Announces to the tracker at `url` (`http:`, `https:` or `udp:`).
 *
 * Sends the path and the query of a `udp:` URL as URL data (BEP 41).
 * @throws TrackerError if the request fails; the reason of `signal` if it is aborted
 */
export function announce(
  url: string | URL,
  parameters: AnnounceParameters,
  options: ClientOptions = {},
): Promise<AnnounceResult> {
  const target = parseUrl(url);
  return withTimeLimit(options, (transport) =>
    target.protocol === "udp:"
      ? announceOverUdp(target, parameters, transport)
      : announceOverHttp(target, parameters, transport),
  );
}

/**
 * Scrapes the tracker whose announce URL is `url`; the scrape URL is derived as BEP 48 says.
 *
 * Sends batches of 50 infohashes, one after the other, within one time limit.
 * @param infoHashes  20 bytes each
 * @returns the counts in the order of `infoHashes`; undefined for an infohash that the response omits
 * @throws TrackerError if a request fails; the reason of `signal` if it is aborted
 */
export function scrape(
  url: string | URL,
  infoHashes: readonly Uint8Array[],
  options: ClientOptions = {},
): Promise<(SwarmCounts | undefined)[]> {
  const target = parseUrl(url);
  return withTimeLimit(options, async (transport) => {
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

/** Runs `request` within the time limit of the options. An expired limit becomes a TrackerError. */
async function withTimeLimit<T>(
  options: ClientOptions,
  request: (transport: Transport) => Promise<T>,
): Promise<T> {
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
