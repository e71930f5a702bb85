import type { TableKey } from "../mysql/batch-rows.ts";
import type { AccountTables } from "../mysql/ledger-administration.ts";
import type { Mysql } from "../mysql/mysql.ts";

/** The tables of Gazelle that differ between What.CD's version and the one of Orpheus. */
export interface GazelleTables {
  /** `whatcd`, or `ops` for the version of Orpheus, which has the numbers of the tracker in tables of their own. */
  readonly version: "whatcd" | "ops";
  /** Where a user's credits are, and the column of the user's id. */
  readonly credits: TableKey;
  /** Where a torrent's numbers are, and the column of the torrent's id. */
  readonly counts: TableKey;
  /** Maximum lengths of `xbt_files_users.ip`, `xbt_files_users.useragent` and `xbt_snatched.IP`. */
  readonly ipLength: number;
  readonly agentLength: number;
  readonly snatchIpLength: number;
}

/** Columns that both versions have. */
const needed: Readonly<Record<string, readonly string[]>> = {
  users_main: ["id", "can_leech", "torrent_pass", "visible", "ip", "enabled"],
  torrents: ["id", "info_hash", "freetorrent"],
  users_freeleeches: ["userid", "torrentid", "expired", "downloaded"],
  xbt_client_whitelist: ["peer_id"],
  xbt_files_users: [
    ...["uid", "fid", "peer_id", "active", "uploaded", "downloaded", "upspeed", "downspeed", "remaining"],
    ...["corrupt", "timespent", "announced", "ip", "useragent", "mtime"],
  ],
  xbt_snatched: ["uid", "fid", "tstamp", "ip"],
};
const neededByVersion: Readonly<
  Record<GazelleTables["version"], Readonly<Record<string, readonly string[]>>>
> = {
  whatcd: {
    users_main: ["uploaded", "downloaded"],
    torrents: ["seeders", "leechers", "snatched", "balance", "last_action"],
  },
  ops: {
    users_leech_stats: ["userid", "uploaded", "downloaded"],
    torrents_leech_stats: ["torrentid", "seeders", "leechers", "snatched", "balance", "last_action"],
  },
};

/** Finds out which Gazelle the database is of. @throws Error that names what is missing */
export async function detectTables(mysql: Mysql): Promise<GazelleTables> {
  const rows = await mysql.rows(
    "SELECT LOWER(TABLE_NAME) AS tab, LOWER(COLUMN_NAME) AS col, CHARACTER_MAXIMUM_LENGTH AS len " +
      "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()",
  );
  const lengths = new Map(rows.map(({ tab, col, len }) => [`${tab}.${col}`, Number(len ?? 0)]));
  const version = lengths.has("torrents_leech_stats.torrentid") ? "ops" : "whatcd";
  const missing = [needed, neededByVersion[version]].flatMap((tables) =>
    Object.entries(tables).flatMap(([table, columns]) =>
      columns.filter((column) => !lengths.has(`${table}.${column}`)).map((column) => `${table}.${column}`),
    ),
  );
  if (missing.length > 0)
    throw new Error(
      `the database is not of Gazelle: it has no ${missing.slice(0, 3).join(", no ")}; set private.database to Gazelle's database, ` +
        "and let the tracker's user read it",
    );
  return {
    version,
    credits:
      version === "ops" ? { table: "users_leech_stats", id: "UserID" } : { table: "users_main", id: "ID" },
    counts:
      version === "ops"
        ? { table: "torrents_leech_stats", id: "TorrentID" }
        : { table: "torrents", id: "ID" },
    ipLength: lengths.get("xbt_files_users.ip")!,
    agentLength: lengths.get("xbt_files_users.useragent")!,
    snatchIpLength: lengths.get("xbt_snatched.ip")!,
  };
}

/** Where Gazelle keeps what an operator asks for. @throws Error that names what is missing */
export async function accountTablesOf(mysql: Mysql): Promise<AccountTables> {
  const { credits, counts } = await detectTables(mysql);
  return {
    users:
      "SELECT u.ID AS id, u.Username AS name, u.torrent_pass AS passkey, u.Enabled = '1' AS enabled, " +
      `c.Uploaded AS uploaded, c.Downloaded AS downloaded FROM users_main u JOIN ${credits.table} c ON c.${credits.id} = u.ID`,
    torrents: `SELECT Seeders AS seeders, Leechers AS leechers, Snatched AS completed FROM ${counts.table}`,
    credits,
  };
}
