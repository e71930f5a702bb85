/** The options of the Redis store. Durations are seconds. */
export interface RedisStoreConfig {
  /** `redis[s]://[[user]:password@]host[:port][/db]`; several servers of a cluster, or sentinels, have one each. */
  broker: readonly string[];
  /** The kind of servers in `broker`. */
  topology: "single" | "sentinel" | "cluster";
  /** The sentinels' name for the primary. */
  sentinelMaster: string;
  /** Certificates of authorities in PEM, for `rediss:`; those of Node.js if absent. */
  ca?: string | undefined;
  /** The prefix of all keys. */
  keyPrefix: string;
  connectTimeout: number;
  /** Seconds to wait for a reply; after that Redis counts as unavailable. */
  readTimeout: number;
  /**
   * The difference in seconds allowed between the clocks of the tracker and of Redis; a larger difference makes Redis
   * unavailable. With 0 or absent, the clocks are not compared.
   */
  maxClockSkew?: number | undefined;
  /** Seconds without an announce after which a peer expires. */
  peerLifetime: number;
  /** Seconds between two searches of one page for expired peers. */
  gcInterval: number;
  /** Whether to store peer ids. All trackers that share Redis must agree. */
  peerIds: boolean;
  /** Whether to store the tags of announces, so that no user of a private tracker gets peers of the same user. */
  tags?: boolean;
  /** Whether the store refuses announces while Redis is unavailable, or serves them from local memory. */
  onFailure: "refuse" | "serve";
  /** The maximum number of peers in local memory. */
  maxLocalPeers: number;
}

/** The parts of one URL of {@link RedisStoreConfig.broker}. */
export interface Broker {
  isTls: boolean;
  /** "" if absent. */
  username: string;
  password: string;
  /** An IPv6 address has no brackets. */
  host: string;
  /** 0 for the default port. */
  port: number;
  database: number;
}

const example = "redis://user:password@127.0.0.1:6379/0";

/**
 * Parses `redis[s]://[[user]:password@]host[:port][/database]`. User and password end at the last `@`, so they may
 * contain any character, also unencoded, except spaces at the ends; `%` with two digits is decoded. A single name
 * before the host is the password, as in Chihaya and redis-cli.
 * @returns the parts, or the problem as text that never shows the URL, because the URL may hold a password
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

/** Parses a URL that was checked before. @throws Error that does not show the URL */
export function readBroker(url: string): Broker {
  const broker = parseBroker(url);
  if (typeof broker === "string") throw new Error(`redis_broker: ${broker}`);
  return broker;
}

/** Decodes percent-encoded bytes, and keeps every other `%`. */
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

/** Returns the problem of a Redis URL, without showing the URL, which may hold a password. */
export function checkBroker(url: string): string | undefined {
  const broker = parseBroker(url);
  return typeof broker === "string" ? broker : undefined;
}
