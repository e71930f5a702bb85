import type { ListenAddress } from "../../ip/listen-address.ts";

/** The options of the UDP frontend. A reload cannot change `listen`, `privateKey` and `receiveBuffer`. */
export interface UdpOptions {
  listen: readonly ListenAddress[];
  /** Secret for connection ids; trackers behind one address share it. "" chooses a random secret. */
  privateKey: string;
  /** Seconds by which a connection id may come from the future, if several trackers share a key. */
  maxClockSkew: number;
  /** Whether responses are timed; if not, the histogram counts them as 0 ms. */
  requestTiming: boolean;
  /** Whether to believe the address field of an announce. */
  allowIpSpoofing: boolean;
  /** Networks and addresses of clients that `allowIpSpoofing` applies to; empty means all clients. */
  ipSpoofingFrom: readonly string[];
  /** Requested size of each socket's receive buffer in bytes; undefined means 8 MiB. */
  receiveBuffer?: number | undefined;
  maxNumWant: number;
  defaultNumWant: number;
  maxScrapeInfoHashes: number;
  /** Routes that name parts of the path in the URL data of an announce (BEP 41), for hooks. Other paths are served too. */
  announceRoutes: readonly string[];
}
