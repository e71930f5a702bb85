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

/** One of {@link RedisStoreConfig.broker}, taken apart. */
export interface Broker {
  isTls: boolean;
  /** "" where there is none. */
  username: string;
  password: string;
  /** An IPv6 address is without its brackets. */
  host: string;
  /** 0 for the usual one. */
  port: number;
  database: number;
}

const example = "redis://user:password@127.0.0.1:6379/0";

/**
 * Parses `redis[s]://[[user:]password@]host[:port][/database]`. User and password may contain anything but spaces at the
 * ends, also unencoded, since what is before the last `@` belongs to them; `%` and two digits are decoded. One name
 * before the host is the password, as in Chihaya and redis-cli.
 * @returns what is wrong as text that never shows the URL: it may hold a password
 */
export function parseBroker(url: string): Broker | string {
  const scheme = /^redis(s?):\/\//.exec(url);
  if (!scheme) return `expected a URL such as ${example}, or with rediss:// for TLS`;
  const rest = url.slice(scheme[0].length);
  const at = rest.lastIndexOf("@");
  const [place, host = "", port = "0", path = ""] =
    /^(\[[\da-f:.]+\]|[^:/?#[\]\s]*)(?::(\d+))?([/?#].*)?$/i.exec(rest.slice(at + 1)) ?? [];
  if (place === undefined || Number(port) > 65_535) return `not a URL; expected one such as ${example}`;
  if (host === "") return `names no host; an example is ${example}`;
  if (!/^(\/\d*)?$/.test(path)) {
    return `after the host comes only the number of the database, as in ${example}`;
  }
  const user = at < 0 ? "" : rest.slice(0, at);
  const colon = user.indexOf(":");
  return {
    isTls: scheme[1] === "s",
    username: decode(user.slice(0, Math.max(colon, 0))),
    password: decode(user.slice(colon + 1)),
    host: host.replace(/^\[(.*)\]$/, "$1"),
    port: Number(port),
    database: Number(path.slice(1)),
  };
}

/** Parses a URL that has been checked. @throws Error that does not show it */
export function readBroker(url: string): Broker {
  const broker = parseBroker(url);
  if (typeof broker === "string") throw new Error(`redis_broker: ${broker}`);
  return broker;
}

/** Decodes what is percent-encoded, and leaves every other `%` as it is. */
function decode(text: string): string {
  return text.replace(/(?:%[\da-f]{2})+/gi, (encoded) => {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return encoded;
    }
  });
}

/** Removes user and password from a URL, for logs and errors. */
export function withoutSecrets(url: string): string {
  return url.replace(/\/\/.*@/s, "//");
}

/** Returns what is wrong with the URL of a Redis server. Never shows it: it may hold a password. */
export function checkBroker(url: string): string | undefined {
  const broker = parseBroker(url);
  return typeof broker === "string" ? broker : undefined;
}
