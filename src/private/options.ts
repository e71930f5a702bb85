import type { ListenAddress } from "../ip/listen-address.ts";
import {
  addresses,
  type Block,
  boolean,
  checkNotEmpty,
  checkUrl,
  choice,
  duration,
  file,
  number,
  options,
  text,
} from "../options/index.ts";
import { isAddress, parseTls, tlsKeys } from "./sites/database-tls.ts";
import { parseListen } from "./sites/listen.ts";
import { isOnTracker, parseTracker } from "./trackers/tracker-address.ts";

/** The block `private`. */
export interface PrivateOptions {
  readonly site: "sql" | "gazelle" | "unit3d" | "http";
  readonly database: string;
  readonly password: string;
  /** Where the site `http` takes traffic, and where Gazelle has its pages. */
  readonly url: string;
  /** Files with the secret that signs traffic or that calls of the site have in their path, and with the one of reports. */
  readonly secretFile: string;
  readonly reportSecretFile: string;
  /** Name of the database with the tracker's own tables, beside the one of the site. */
  readonly ledger: string;
  /** Where the calls of the site are served: an address and port, or `unix:` and a path; empty for nowhere. */
  readonly listen: string;
  /** Whether they are also served on the addresses of announces. */
  readonly serveOnTracker: boolean;
  readonly journal: { readonly dir: string; readonly keep: number };
  readonly trackers: { readonly addr: readonly ListenAddress[]; readonly secret: string };
  readonly announceUrl: string;
  readonly rules: "chihaya" | "ocelot";
  readonly storeIps: "none" | "hashed" | "plain";
  /** Bytes per second. */
  readonly maxRate: number;
  /** Seconds. */
  readonly announceMin: number;
  readonly peersTimeout: number;
  readonly idleSessions: number;
}

const restart = true;
/** Where the database of a site is. */
export type DatabaseAddress = { kind: "sqlite"; path: string } | { kind: "mysql" | "postgres"; url: string };

const sqlite = "sqlite:";
const kinds = { mysql: "mysql", mariadb: "mysql", postgres: "postgres", postgresql: "postgres" } as const;

/** Parses `sqlite:///path`, `sqlite:path`, a path, `mysql://user@host:port/database` or `postgres://user@host:port/database`. */
export function parseDatabase(database: string): DatabaseAddress {
  if (database.startsWith(sqlite))
    return { kind: "sqlite", path: database.slice(sqlite.length).replace(/^\/\//, "") };
  const scheme = /^([a-z]+):\/\//.exec(database)?.[1] ?? "";
  if (!Object.hasOwn(kinds, scheme)) return { kind: "sqlite", path: database };
  const kind = kinds[scheme as keyof typeof kinds];
  return { kind, url: `${kind}${database.slice(scheme.length)}` };
}

/** Returns the error of an address of a database; undefined if it is valid. */
export function checkDatabase(database: string): string | undefined {
  if (isOnTracker(database))
    return parseTracker(database) === undefined ? "expected tracker://host:port" : undefined;
  const parsed = parseDatabase(database);
  if (parsed.kind === "sqlite") {
    const other = /^(?!sqlite:)([a-z][\w+.-]*):\/\//i.exec(database)?.[1];
    if (other !== undefined)
      return `no database of the kind ${JSON.stringify(other)}; expected a path, sqlite:///path, mysql:// or postgres://`;
    return checkNotEmpty(parsed.path);
  }
  // The errors do not show the URL, which may hold a password.
  if (!URL.canParse(parsed.url)) return `not a valid URL; ${example(parsed.kind)}`;
  const url = new URL(parsed.url);
  if (url.password !== "") return "a password does not belong into the URL; set password_file";
  if (url.username === "" || !/^\/[^/]+$/.test(url.pathname))
    return `needs a user and the name of a database; ${example(parsed.kind)}`;
  return checkParameters(url, parsed.kind);
}

/** Returns the error of the parameters of a URL; undefined if they are valid. */
function checkParameters(url: URL, kind: "mysql" | "postgres"): string | undefined {
  const tls = parseTls(url);
  if (typeof tls === "string") return tls;
  if (kind === "postgres") return undefined; // the server checks all others
  const known: readonly string[] = ["socketPath", ...tlsKeys];
  const unknown = [...url.searchParams.keys()].find((key) => !known.includes(key));
  if (unknown !== undefined)
    return `no parameter ${JSON.stringify(unknown)}; there are sslmode, sslrootcert and socketPath`;
  if (tls?.isForHost && isAddress(url))
    return "sslmode=verify-full needs the name of the host in the URL, not its address; or set sslmode=verify-ca";
  return undefined;
}

function example(kind: "mysql" | "postgres"): string {
  return `expected one such as ${kind}://chihaya@127.0.0.1/site`;
}

function checkListen(listen: string): string | undefined {
  const parsed = listen === "" ? undefined : parseListen(listen);
  return typeof parsed === "string" ? parsed : undefined;
}

const shortestSecret = 32;

function checkSecret(secret: string): string | undefined {
  if (secret === "" || secret.length >= shortestSecret) return undefined;
  return `expected at least ${shortestSecret} characters, such as the output of "openssl rand -hex 32"`;
}

function checkAnnounceUrl(url: string): string | undefined {
  if (url === "") return undefined;
  if (!/^(https?|wss?|udp):\/\/[^/]+\//.test(url))
    return "expected a URL with http, https, udp, ws or wss, and a path";
  return url.includes(":passkey")
    ? undefined
    : 'expected ":passkey" in the URL, as in https://tracker.example.com/announce/:passkey';
}

/** Describes the block `private`. */
export const privateOptions: Block<PrivateOptions, unknown> = options(
  {
    site: choice(["sql", "gazelle", "unit3d", "http"], { restart })
      .default("sql")
      .describe(
        "What is credited: the tables of `docs/private.md` (`sql`), those of Gazelle (`gazelle`, `docs/migrating-from-ocelot.md`) or of " +
          "UNIT3D (`unit3d`, `docs/migrating-from-unit3d-announce.md`), or a site of any software that takes requests (`http`).",
      ),
    database: text({ restart, check: checkDatabase }).describe(
      "The database: a path or `sqlite:///path` for SQLite, `mysql://user@host:port/database` for MariaDB and MySQL, or " +
        "`postgres://user@host:port/database`. `chihaya private init` makes the tables. `tracker://host:port` on a " +
        "further tracker of the site: the tracker with the database.",
    ),
    password: text({ restart, secret: true }).default("").describe("Password of the user of the database."),
    url: text({ restart, check: (url) => (url === "" ? undefined : checkUrl(url)) })
      .default("")
      .describe(
        "For the site `http`: where traffic is sent. Without it, the site fetches the traffic from the admin API (`/journal`). For the " +
          "site `gazelle`: where What.CD's site is; its page `tools.php` is called for freeleech tokens that are used up.",
      ),
    secret_file: file({ restart, limit: 1024 })
      .default("")
      .describe(
        "For the site `http`: file with the secret that signs requests, 24 to 64 bytes in base64. For the sites `gazelle` and `unit3d`: file " +
          "with the secret in the path of their calls, `TRACKER_SECRET` or `TRACKER_KEY`.",
      ),
    report_secret_file: file({ restart, limit: 1024 })
      .default("")
      .describe("For the site `gazelle`: file with the secret in the path of reports, `TRACKER_REPORTKEY`."),
    listen: text({ restart, check: checkListen })
      .default("")
      .describe(
        "For the sites `gazelle` and `unit3d`: where their calls are served, such as `127.0.0.1:34001` or `unix:/run/chihaya/site.sock`.",
      ),
    serve_on_tracker: boolean({ restart })
      .default(false)
      .describe(
        "For the site `gazelle`: whether its calls are also served on the addresses of announces, as Ocelot does. Everybody can then try " +
          "secrets there, so `listen` is safer.",
      ),
    ledger: text({ restart, check: checkNotEmpty })
      .default("chihaya")
      .describe(
        "For the sites `gazelle` and `unit3d`: the database on the same server in which the tracker notes what it has credited. The " +
          "tracker creates it.",
      ),
    journal: options({
      dir: text({ restart, check: checkNotEmpty }).describe(
        "Directory of the journal, which keeps all traffic that the database does not have yet. Keep it on a local disk.",
      ),
      keep: duration(0, { restart })
        .default("24h")
        .describe(
          "How long to keep records that the database has, for the case that the database is restored from a backup.",
        ),
    }).describe("Where announces are written before their traffic is credited."),
    trackers: options({
      addr: addresses({ restart })
        .default([])
        .describe(
          "Where further trackers of the site connect to this one, which has the database. Off by default.",
        ),
      secret: text({ restart, secret: true, check: checkSecret })
        .default("")
        .describe("Secret that all trackers of the site have, at least 32 characters."),
    })
      .default({})
      .describe("Several trackers of one site: see `docs/private.md`."),
    announce_url: text({ restart, check: checkAnnounceUrl })
      .default("")
      .describe(
        "URL of the users, with `:passkey` in the place of the passkey, for `chihaya private announce-url`. Without it, the " +
          "command uses the first listener.",
      ),
    store_ips: choice(["none", "hashed", "plain"], { restart })
      .default("plain")
      .describe(
        "How the addresses of peers are kept in journal and database: not at all, as a keyed hash, or as they are.",
      ),
    rules: choice(["chihaya", "ocelot"], { restart })
      .default("chihaya")
      .describe(
        "How traffic is counted: by the rules of `docs/private.md`, or exactly as Ocelot counts, to compare both trackers. Ocelot's rules lose " +
          "bytes, count bytes twice, and know no `max_rate` and no seeding time.",
      ),
    max_rate: number({ above: 0, restart })
      .default(1_250_000_000)
      .describe(
        "Highest credible rate of a client, in bytes per second. An announce that claims more is credited with nothing.",
      ),
    announce_min: duration(0, { restart })
      .default("0s")
      .describe(
        "Time within which another announce of the same client for the same torrent gets no peers. It is credited, and `stopped` " +
          "and `completed` are always served. Clients get at least this interval. 0 serves every announce.",
      ),
    peers_timeout: duration(60, { restart })
      .default("2h")
      .describe("Time without an announce after which the database shows a peer as inactive."),
    idle_sessions: duration(3600, { restart })
      .default("504h")
      .describe(
        "Time without an announce after which a client is forgotten. The bytes between its last and its next announce are then " +
          "not credited.",
      ),
  },
  {
    check({ site, url, secretFile, listen, serveOnTracker, database, trackers }, refuse) {
      const needsSecret = trackers.addr.length > 0 || isOnTracker(database);
      if (needsSecret && trackers.secret === "")
        refuse("trackers", "needs secret or secret_file, the same on all trackers of the site");
      if (trackers.addr.length > 0 && isOnTracker(database))
        refuse("trackers", "addr is for the tracker with the database, but database names another tracker");
      if (isOnTracker(database)) return;
      if (serveOnTracker && site !== "gazelle")
        refuse(
          "serveOnTracker",
          "only the site gazelle has calls on the addresses of announces; set listen for other sites",
        );
      if (site === "gazelle" || site === "unit3d") {
        if (parseDatabase(database).kind !== "mysql")
          refuse("database", `the site ${site} needs MariaDB or MySQL: mysql://tracker@127.0.0.1/${site}`);
        if ((listen !== "" || serveOnTracker) && secretFile === "")
          refuse("secretFile", `the calls of the site ${site} need a secret`);
      }
      if (url !== "" && secretFile === "")
        refuse(
          "secretFile",
          `needs a secret${site === "http" ? ': "openssl rand -base64 32" makes one' : ""}`,
        );
    },
  },
) as Block<PrivateOptions, unknown>;
