import type { ListenAddress } from "../ip/listen-address.ts";
import {
  addresses,
  type Block,
  checkNotEmpty,
  choice,
  duration,
  number,
  options,
  text,
} from "../options/index.ts";
import { parseListen } from "./sites/listen.ts";
import { isOnTracker, parseTracker } from "./trackers/tracker-address.ts";

/** The block `private`. */
export interface PrivateOptions {
  readonly site: "sql" | "gazelle" | "unit3d";
  /** A file of SQLite for the site `sql`, a URL of MariaDB or MySQL for the others. */
  readonly database: string;
  /** Name of the database with the tracker's own tables, beside the one of the site. */
  readonly ledger: string;
  /** Where the calls of the site are served: an address and port, or `unix:` and a path; empty for nowhere. */
  readonly listen: string;
  /** Secrets in the paths of the calls; empty for none. */
  readonly secret: string;
  readonly reportSecret: string;
  readonly journal: { readonly dir: string; readonly keep: number };
  readonly trackers: { readonly addr: readonly ListenAddress[]; readonly secret: string };
  readonly announceUrl: string;
  readonly storeIps: "none" | "hashed" | "plain";
  /** Bytes per second. */
  readonly maxRate: number;
  /** Seconds. */
  readonly announceMin: number;
  readonly peersTimeout: number;
  readonly idleSessions: number;
}

const restart = true;
const scheme = "sqlite:";

/** Returns the path of a database: `sqlite:///path`, `sqlite:path` or a path. */
export function databasePath(database: string): string {
  return database.startsWith(scheme) ? database.slice(scheme.length).replace(/^\/\//, "") : database;
}

/** Returns why the database cannot be the one of a site; undefined if it can. */
function checkDatabase(site: PrivateOptions["site"], database: string): string | undefined {
  if (isOnTracker(database))
    return parseTracker(database) === undefined ? "expected tracker://host:port" : undefined;
  const scheme = /^([a-z][\w+.-]*):\/\//i.exec(database)?.[1] ?? "sqlite";
  if (site === "sql" && scheme === "sqlite") return checkNotEmpty(databasePath(database));
  if (site === "sql" && scheme !== "mysql")
    return `no database of the kind ${JSON.stringify(scheme)}; expected a path, or sqlite:///path`;
  return /^mysql:\/\/[^/]+\/[^/?]+/.test(database)
    ? undefined
    : `the site ${site} needs a database of MariaDB or MySQL: mysql://tracker@127.0.0.1/${site}`;
}

function checkListen(listen: string): string | undefined {
  const parsed = listen === "" ? undefined : parseListen(listen);
  return typeof parsed === "string" ? parsed : undefined;
}

/** The secret is a part of the path of calls. */
function checkPathSecret(secret: string): string | undefined {
  if (secret === "") return undefined;
  if (!/^[\w.~-]{32,}$/.test(secret)) return "expected at least 32 letters, digits, and characters of -._~";
  return new Set(secret).size === 1 ? "one character again and again is no secret" : undefined;
}

const shortestSecret = 32;

function checkSecret(secret: string): string | undefined {
  if (secret === "" || secret.length >= shortestSecret) return undefined;
  return `expected at least ${shortestSecret} characters, such as the output of "openssl rand -hex 32"`;
}

function checkAnnounceUrl(url: string): string | undefined {
  if (url === "") return undefined;
  if (!/^(https?|udp):\/\/[^/]+\//.test(url)) return "expected a URL with http, https or udp, and a path";
  return url.includes(":passkey")
    ? undefined
    : 'expected ":passkey" in the URL, as in https://tracker.example.com/announce/:passkey';
}

/** Describes the block `private`. */
export const privateOptions: Block<PrivateOptions, unknown> = options(
  {
    site: choice(["sql", "gazelle", "unit3d"], { restart })
      .default("sql")
      .describe(
        "Whose tables the database has. `sql` has the tables of `docs/private.md`, `gazelle` those of What.CD and Orpheus " +
          "(`docs/migrating-from-ocelot.md`), `unit3d` those of UNIT3D (`docs/migrating-from-unit3d-announce.md`).",
      ),
    database: text({ restart, check: checkNotEmpty }).describe(
      "Path of the SQLite database, also as `sqlite:///path`. `chihaya private init` makes one. For the sites `gazelle` and `unit3d`: " +
        "`mysql://tracker:password@127.0.0.1/gazelle`. `tracker://host:port` on a further tracker of the site: the tracker with the " +
        "database.",
    ),
    ledger: text({ restart, check: checkNotEmpty })
      .default("chihaya")
      .describe(
        "For the sites `gazelle` and `unit3d`: the database on the same server in which the tracker notes what it has credited. The " +
          "tracker creates it.",
      ),
    listen: text({ restart, check: checkListen })
      .default("")
      .describe(
        "For the sites `gazelle` and `unit3d`: where the calls of the site are served, such as `127.0.0.1:34001` or " +
          "`unix:/run/chihaya/site.sock`.",
      ),
    secret: text({ restart, secret: true, check: checkPathSecret })
      .default("")
      .describe(
        "Secret in the path of the site's calls (Gazelle's `TRACKER_SECRET`, UNIT3D's `TRACKER_KEY`).",
      ),
    report_secret: text({ restart, secret: true, check: checkPathSecret })
      .default("")
      .describe("Secret in the path of the site's reports (Gazelle's `TRACKER_REPORTKEY`)."),
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
    check({ site, database, listen, secret, trackers }, refuse) {
      const problem = checkDatabase(site as PrivateOptions["site"], database);
      if (problem !== undefined) refuse("database", problem);
      if (site !== "sql" && listen !== "" && secret === "")
        refuse("listen", "the calls of the site need a secret: set secret_file");
      const needsSecret = trackers.addr.length > 0 || isOnTracker(database);
      if (needsSecret && trackers.secret === "")
        refuse("trackers", "needs secret or secret_file, the same on all trackers of the site");
      if (trackers.addr.length > 0 && isOnTracker(database))
        refuse("trackers", "addr is for the tracker with the database, but database names another tracker");
    },
  },
) as Block<PrivateOptions, unknown>;
