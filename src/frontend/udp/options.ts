import type { ListenAddress } from "../../ip/listen-address.ts";

/** What the UDP frontend is told. `listen`, `privateKey` and `receiveBuffer` cannot be changed while it runs. */
export interface UdpOptions {
  listen: readonly ListenAddress[];
  /** Secret behind the connection ids, shared by trackers that stand in for each other; "" makes a random one. */
  privateKey: string;
  /** Seconds that a connection id may be from the future, where several trackers share a key. */
  maxClockSkew: number;
  /** Whether responses are timed; if not, the histogram counts them as 0 ms. */
  requestTiming: boolean;
  /** Whether the address field of an announce is believed. */
  allowIpSpoofing: boolean;
  /** Networks (CIDR, or single addresses) of the clients for which that holds; empty for all. */
  ipSpoofingFrom: readonly string[];
  /** Bytes of each socket's receive buffer that are asked for; undefined asks for 8 MiB. */
  receiveBuffer?: number | undefined;
  maxNumWant: number;
  defaultNumWant: number;
  maxScrapeInfoHashes: number;
  /** Routes that name parts of the path in an announce's URL data (BEP 41), for hooks; any path is an announce. */
  announceRoutes: readonly string[];
}
