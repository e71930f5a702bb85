import type { Dialect, OpenDatabase } from "./database.ts";

/** The version of the tables, in the table `chihaya`. */
export const schemaVersion = 1;

/**
 * Returns the statements that make the tables of the site `sql`. Programs of the site may write to users, torrents, groups, grants and
 * clients; the tracker writes the rest. Triggers note in `changes` what the tracker must read again, with the keys that it must forget.
 */
export function schemaOf(dialect: Dialect): string[] {
  const { types: t, kind } = dialect;
  const end = { sqlite: ") STRICT", mysql: ") ENGINE=InnoDB", postgres: ")" }[kind];
  /** Keeps the rows of SQLite in the order of their key, so that a batch in this order finds them side by side. */
  const endByKey = kind === "sqlite" ? ") STRICT, WITHOUT ROWID" : end;
  // The keys that a database of MySQL draws are in range, and must not have a check.
  const inRange = kind === "mysql" ? "" : ", CHECK (id BETWEEN 1 AND 4294967295)";
  // MariaDB would check the passkey with every credit, so a trigger does.
  const hasPasskey = {
    sqlite: ", CHECK (length(passkey) = 32 AND passkey NOT GLOB '*[^A-Za-z0-9]*')",
    mysql: "",
    postgres: ", CHECK (passkey ~ '^[A-Za-z0-9]{32}$')",
  }[kind];
  const percent = (column: string) => `${column} BETWEEN 0 AND 65534`;
  const number = (column: string) => `${column} ${t.int} NOT NULL DEFAULT 0`;
  const flag = (column: string, byDefault = 0) => `${column} ${t.flag} NOT NULL DEFAULT ${byDefault}`;
  const ofUserAndTorrent =
    "FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE, " +
    "FOREIGN KEY (torrent_id) REFERENCES torrents (id) ON DELETE CASCADE";
  return [
    `CREATE TABLE chihaya (version ${t.int} NOT NULL${end}`,
    `CREATE TABLE users (
      id ${t.serial},
      name ${t.line} NOT NULL UNIQUE,
      passkey ${t.word} NOT NULL UNIQUE,
      ${flag("enabled", 1)}, ${flag("can_leech", 1)}, ${flag("hidden")},
      group_id ${t.id},
      ${["uploaded", "downloaded", "raw_uploaded", "raw_downloaded"].map(number).join(", ")}${hasPasskey}${inRange}
    ${end}`,
    `CREATE TABLE torrents (
      id ${t.serial},
      info_hash ${t.infohash} UNIQUE,
      info_hash_v2 ${t.infohash} UNIQUE,
      name ${t.text},
      up ${t.int} NOT NULL DEFAULT 100,
      down ${t.int} NOT NULL DEFAULT 100,
      until ${t.int},
      ${flag("status", 1)},
      ${["seeders", "leechers", "completed"].map(number).join(", ")},
      last_active ${t.int},
      CHECK (length(info_hash) = 20), CHECK (length(info_hash_v2) = 32),
      CHECK (info_hash IS NOT NULL OR info_hash_v2 IS NOT NULL),
      CHECK (${percent("up")} AND ${percent("down")})${inRange}
    ${end}`,
    `CREATE TABLE "groups" (
      id ${t.serial},
      name ${t.line} UNIQUE,
      up ${t.int}, down ${t.int}, until ${t.int}, slots ${t.int},
      CHECK (${percent("up")}), CHECK (${percent("down")})${inRange}
    ${end}`,
    `CREATE TABLE grants (
      user_id ${t.id} NOT NULL DEFAULT 0,
      torrent_id ${t.id} NOT NULL DEFAULT 0,
      up ${t.int}, down ${t.int}, until ${t.int},
      PRIMARY KEY (user_id, torrent_id),
      CHECK (${percent("up")}), CHECK (${percent("down")})
    ${end}`,
    `CREATE TABLE clients (
      prefix ${t.bytes} NOT NULL PRIMARY KEY,
      ${flag("allow")}
    ${end}`,
    `CREATE TABLE history (
      user_id ${t.id} NOT NULL,
      torrent_id ${t.id} NOT NULL,
      ${["uploaded", "downloaded", "raw_uploaded", "raw_downloaded", "seedtime", "leechtime", "first_seen", "last_seen"].map(number).join(", ")},
      completed_at ${t.int},
      ${flag("active")},
      PRIMARY KEY (user_id, torrent_id), ${ofUserAndTorrent}
    ${endByKey}`,
    "CREATE INDEX history_torrent ON history (torrent_id)",
    `CREATE TABLE peers (
      user_id ${t.id} NOT NULL,
      torrent_id ${t.id} NOT NULL,
      peer_id ${t.bytes} NOT NULL,
      ip ${t.word} NOT NULL,
      port ${t.int} NOT NULL,
      client ${t.word} NOT NULL,
      ${["uploaded", "downloaded", '"left"', "updated_at"].map(number).join(", ")},
      ${flag("seeder")}, ${flag("active")},
      PRIMARY KEY (user_id, torrent_id, peer_id), ${ofUserAndTorrent}
    ${endByKey}`,
    "CREATE INDEX peers_torrent ON peers (torrent_id, active, seeder)",
    `CREATE TABLE snatches (
      id ${t.serial},
      user_id ${t.id} NOT NULL,
      torrent_id ${t.id} NOT NULL,
      at ${t.int} NOT NULL,
      ip ${t.word} NOT NULL,
      ${ofUserAndTorrent}
    ${end}`,
    "CREATE INDEX snatches_user ON snatches (user_id)",
    "CREATE INDEX snatches_torrent ON snatches (torrent_id)",
    `CREATE TABLE applied (instance ${t.word} NOT NULL PRIMARY KEY, seq ${t.int} NOT NULL, at ${t.int} NOT NULL${end}`,
    `CREATE TABLE quarantine (
      id ${t.serial},
      seq ${t.int} NOT NULL,
      user_id ${t.id} NOT NULL,
      torrent_id ${t.id},
      uploaded ${t.int} NOT NULL, downloaded ${t.int} NOT NULL,
      reason ${t.text} NOT NULL,
      at ${t.int} NOT NULL
    ${end}`,
    `CREATE TABLE changes (
      id ${t.serial},
      kind ${t.word} NOT NULL,
      user_id ${t.id},
      torrent_id ${t.id},
      passkey ${t.word},
      info_hash ${t.infohash},
      info_hash_v2 ${t.infohash}
    ${end}`,
    ...watches.flatMap((watch) => triggersOf(dialect, watch)),
    `INSERT INTO chihaya VALUES (${schemaVersion})`,
  ];
}

/** A table whose changes are noted. */
interface Watch {
  table: string;
  kind: string;
  /** Columns of `changes`, with columns of the table. */
  noted: Readonly<Record<string, string>>;
  /** The columns that the tracker reads. */
  read: readonly string[];
  /** What MySQL checks of a new or changed row, and the reason if it is false. */
  check?: { condition: string; reason: string };
}

const watches: readonly Watch[] = [
  {
    ...{ table: "users", kind: "user", noted: { user_id: "id", passkey: "passkey" } },
    read: ["id", "passkey", "enabled", "can_leech", "hidden", "group_id"],
    check: {
      condition: "NEW.passkey REGEXP '^[A-Za-z0-9]{32}$'",
      reason: "a passkey has 32 letters and digits",
    },
  },
  {
    ...{ table: "torrents", kind: "torrent" },
    noted: { torrent_id: "id", info_hash: "info_hash", info_hash_v2: "info_hash_v2" },
    read: ["id", "info_hash", "info_hash_v2", "up", "down", "until", "status"],
  },
  { table: '"groups"', kind: "group", noted: {}, read: ["id", "up", "down", "until", "slots"] },
  {
    ...{ table: "grants", kind: "grant", noted: { user_id: "user_id", torrent_id: "torrent_id" } },
    read: ["user_id", "torrent_id", "up", "down", "until"],
  },
  { table: "clients", kind: "client", noted: {}, read: ["prefix", "allow"] },
];

/** Returns the statements that make the triggers of a table: each notes the row as it was, and as it is. */
function triggersOf({ kind }: Dialect, watch: Watch): string[] {
  const { table, noted, read, check } = watch;
  const name = table.replaceAll('"', "");
  const columns = ["kind", ...Object.keys(noted)].join(", ");
  const note = (row: "OLD" | "NEW") => {
    const values = Object.values(noted).map((column) => `${row}.${column}`);
    return `INSERT INTO changes (${columns}) VALUES (${[`'${watch.kind}'`, ...values].join(", ")});`;
  };
  const events = [
    { event: "INSERT", when: "INSERT", body: note("NEW") },
    { event: "UPDATE", when: `UPDATE OF ${read.join(", ")}`, body: note("OLD") + note("NEW") },
    { event: "DELETE", when: "DELETE", body: note("OLD") },
  ];
  return events.flatMap(({ event, when, body }) => {
    const trigger = `${name}_${event.toLowerCase()}`;
    if (kind === "sqlite") return [`CREATE TRIGGER ${trigger} AFTER ${when} ON ${table} BEGIN ${body} END`];
    if (kind === "postgres")
      return [
        `CREATE FUNCTION ${trigger}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} RETURN NULL; END $$`,
        `CREATE TRIGGER ${trigger} AFTER ${when} ON ${table} FOR EACH ROW EXECUTE FUNCTION ${trigger}()`,
      ];
    const isSame = read.map((column) => `OLD.${column} <=> NEW.${column}`).join(" AND ");
    const refusal =
      check === undefined || event === "DELETE"
        ? ""
        : `IF NOT (${check.condition}) THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '${check.reason}'; END IF;`;
    const checked = refusal + body;
    const guarded = event === "UPDATE" ? `IF NOT (${isSame}) THEN ${checked} END IF;` : checked;
    return [`CREATE TRIGGER ${trigger} AFTER ${event} ON ${table} FOR EACH ROW BEGIN ${guarded} END`];
  });
}

/** Makes the tables in an empty database. @throws Error if there is such a table, or the database refuses */
export async function createTables({ database, dialect }: OpenDatabase): Promise<void> {
  for (const table of ["chihaya", "users", "torrents"])
    if (await hasTable(database, table))
      throw new Error(`the database has a table ${JSON.stringify(table)} already; use an empty database`);
  await database.transaction(async (transaction) => {
    for (const statement of schemaOf(dialect)) await transaction.run(statement);
  });
}

/** @throws Error with the remedy, unless the database has the tables of this version */
export async function checkTables({ database }: OpenDatabase): Promise<void> {
  const [row] = (await hasTable(database, "chihaya"))
    ? await database.rows("SELECT version FROM chihaya")
    : [];
  if (row === undefined)
    throw new Error('not the database of a private site; "chihaya private init" makes its tables');
  if (Number(row.version) !== schemaVersion)
    throw new Error(
      `made by another version of the tracker (tables ${row.version}, this version has ${schemaVersion})`,
    );
}

/** @throws Error if the database is away */
async function hasTable(database: OpenDatabase["database"], table: string): Promise<boolean> {
  await database.rows("SELECT 1 AS one");
  return database.rows(`SELECT * FROM ${table} LIMIT 1`).then(
    () => true,
    () => false,
  );
}
