import { parseDatabase } from "../../options.ts";
import { isOnTracker } from "../../trackers/tracker-address.ts";
import type { OpenDatabase } from "./database.ts";

/**
 * Opens a database. Connects to no server yet.
 * @param isExclusive  whether this program has the accounts of the site. Only one at a time can; another one gets a `SiteInUseError`,
 *   at once from SQLite, otherwise from each statement
 * @throws Error that names a missing package or file, and the remedy
 */
export async function openDatabase(
  address: string,
  password: string,
  { isExclusive = false }: { isExclusive?: boolean } = {},
): Promise<OpenDatabase> {
  if (isOnTracker(address))
    throw new Error(`the database is on the tracker at ${address}; run the command on that machine`);
  const parsed = parseDatabase(address);
  if (parsed.kind === "sqlite") {
    const { openSqlite, sqliteDialect } = await import("./sqlite.ts");
    return { database: openSqlite(parsed.path, isExclusive), dialect: sqliteDialect };
  }
  if (parsed.kind === "mysql") {
    const { openMysql, mysqlDialect } = await import("./mysql.ts");
    return { database: openMysql(parsed.url, password, isExclusive), dialect: mysqlDialect };
  }
  const { Postgres, postgresDialect } = await import("./postgres.ts");
  return { database: new Postgres(parsed.url, password, isExclusive), dialect: postgresDialect };
}
