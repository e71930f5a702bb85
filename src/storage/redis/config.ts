/** What the Redis store is told. Durations are seconds. */
export interface RedisStoreConfig {
  /** `redis[s]://[[user]:password@]host[:port][/db]`; several servers of a cluster or sentinels have one each. */
  broker: readonly string[];
  /** How the servers of `broker` belong together. */
  topology: "single" | "sentinel" | "cluster";
  /** The name under which sentinels know the primary. */
  sentinelMaster: string;
  /** Certificates of authorities in PEM, for `rediss:`; those of Node.js where it is absent. */
  ca?: string | undefined;
  /** What keys begin with. */
  keyPrefix: string;
  connectTimeout: number;
  /** Seconds until an answer must be there; after that the engine counts as gone. */
  readTimeout: number;
  /**
   * Seconds that the clock of the tracker may differ from that of Redis; beyond, the store is as without Redis. 0 or
   * absent, the clocks are not compared.
   */
  maxClockSkew?: number | undefined;
  /** Seconds without an announce after which a peer is forgotten. */
  peerLifetime: number;
  /** Seconds between two looks at the same peers for expired ones. */
  gcInterval: number;
  /** Whether peer ids are kept: all trackers that share an engine must agree. */
  peerIds: boolean;
  /** For how long what the engine listed of a big swarm is given to others too; 0 or absent, every announce asks. */
  sampleCache?: number;
  /** Whether announces are refused while the engine is gone, or served from local memory. */
  onFailure: "refuse" | "serve";
  /** Most peers that are kept locally in the meantime. */
  maxLocalPeers: number;
}

/** Removes user and password from a URL, for logs and errors. */
export function withoutSecrets(url: string): string {
  return url.replace(/\/\/.*@/s, "//");
}
