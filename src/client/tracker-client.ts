/**
 * A client for trackers over HTTP, HTTPS, UDP and WebSocket, for the command line and the tests. The code favours clarity over speed,
 * and keeps no state between two requests.
 */

import type { Family } from "../ip/address.ts";
import type { AnnounceParameters, AnnounceResult, SwarmCounts, Transport } from "./exchange.ts";
import { announceOverHttp, scrapeOverHttp } from "./http.ts";
import { TrackerError } from "./tracker-error.ts";
import { announceOverUdp, scrapeOverUdp } from "./udp.ts";
import {
  announceOverWebSocket,
  openSession,
  scrapeOverWebSocket,
  type WebSocketSession,
} from "./websocket.ts";

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
 * Announces to the tracker at `url` (`http:`, `https:`, `udp:`, `ws:` or `wss:`).
 *
 * Sends the path and the query of a `udp:` URL as URL data (BEP 41). Over WebSocket the response has no peers, and the
 * tracker removes the peer when the function returns.
 * @throws TrackerError if the request fails; the reason of `signal` if it is aborted
 */
export function announce(
  url: string | URL,
  parameters: AnnounceParameters,
  options: ClientOptions = {},
): Promise<AnnounceResult> {
  const target = parseUrl(url);
  const { announce: send } = protocols[target.protocol]!;
  return withTimeLimit(options, (transport) => send(target, parameters, transport));
}

/**
 * Scrapes the tracker whose announce URL is `url`; the scrape URL is derived as BEP 48 says. Over
 * WebSocket, both have the same URL.
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
      const { scrape: send } = protocols[target.protocol]!;
      counts.push(...(await send(target, batch, transport)));
    }
    return counts;
  });
}

/**
 * Opens a WebSocket to the tracker at `url` (`ws:` or `wss:`), and closes it when `exchange` is over. One time limit is for
 * all of it.
 * @throws TrackerError if a request fails; the reason of `signal` if it is aborted; what `exchange` throws
 */
export function withSession<T>(
  url: string | URL,
  options: ClientOptions,
  exchange: (session: WebSocketSession) => Promise<T>,
): Promise<T> {
  return withTimeLimit(options, (transport) => openSession(parseUrl(url), transport, exchange));
}

interface Protocol {
  announce: (url: URL, parameters: AnnounceParameters, transport: Transport) => Promise<AnnounceResult>;
  scrape: (
    url: URL,
    infoHashes: readonly Uint8Array[],
    transport: Transport,
  ) => Promise<(SwarmCounts | undefined)[]>;
}

const http: Protocol = { announce: announceOverHttp, scrape: scrapeOverHttp };
const webSocket: Protocol = { announce: announceOverWebSocket, scrape: scrapeOverWebSocket };
const protocols: Readonly<Partial<Record<string, Protocol>>> = {
  "http:": http,
  "https:": http,
  "udp:": { announce: announceOverUdp, scrape: scrapeOverUdp },
  "ws:": webSocket,
  "wss:": webSocket,
};

function parseUrl(url: string | URL): URL {
  const target = URL.canParse(String(url)) ? new URL(url) : undefined;
  if (target === undefined || protocols[target.protocol] === undefined) {
    throw new TrackerError("unsupported", `${url}: not a URL of an HTTP, HTTPS, UDP or WebSocket tracker`);
  }
  if (target.protocol === "udp:" && target.port === "") {
    throw new TrackerError("unsupported", `${url}: a UDP tracker's URL needs a port`);
  }
  return target;
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
