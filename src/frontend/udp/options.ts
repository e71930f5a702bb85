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
  /** Errors about connection ids that an address (an IPv6 network of 64 bits) gets in a second from each worker, to 65535. */
  maxConnectionIdErrors: number;
  /** Bytes of each socket's receive buffer that are asked for; undefined asks for 8 MiB. */
  receiveBuffer?: number | undefined;
  maxNumWant: number;
  defaultNumWant: number;
  maxScrapeInfoHashes: number;
  /** Routes that name parts of the path in an announce's URL data (BEP 41), for hooks; any path is an announce. */
  announceRoutes: readonly string[];
}

/** What the frontend does unless it is told otherwise; where it listens has no default here. */
export const udpDefaults: Omit<UdpOptions, "listen"> = {
  privateKey: "",
  maxClockSkew: 10,
  requestTiming: false,
  allowIpSpoofing: false,
  ipSpoofingFrom: [],
  maxConnectionIdErrors: 32,
  receiveBuffer: 8_388_608,
  maxNumWant: 100,
  defaultNumWant: 50,
  maxScrapeInfoHashes: 74,
  announceRoutes: ["/announce"],
};
