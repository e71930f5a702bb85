import type { ListenAddress } from "../../ip/listen-address.ts";

/** The options of the WebSocket frontend. A reload cannot change `listen`. */
export interface WebSocketOptions {
  /** Addresses of its own; empty for the addresses of HTTP and HTTPS. */
  listen: readonly ListenAddress[];
  /** Paths of WebSockets; empty for the announce routes of HTTP and `/`. */
  routes: readonly string[];
  allowOrigins: readonly string[];
  denyOrigins: readonly string[];
  /** Seconds between two announces of a client, as responses say. */
  interval: number;
  /** Maximum number of offers of an announce that are relayed. */
  maxOffers: number;
  /** Maximum number of bytes of an SDP in JSON. */
  maxSdpBytes: number;
  /** Maximum number of bytes of a message. */
  maxMessageBytes: number;
  maxScrapeInfoHashes: number;
  /** Maximum number of open WebSockets. */
  maxConnections: number;
  /** Whether responses are timed. */
  requestTiming: boolean;
}
