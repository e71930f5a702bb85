import { parseDatabase } from "../../options.ts";
import { isOnTracker } from "../../trackers/tracker-address.ts";
import type { OpenDatabase } from "./database.ts";

/** Opens a database. Connects to no server yet. @throws Error that names a missing package or file, and the remedy */
export async function openDatabase(address: string, password: string): Promise<OpenDatabase> {
  if (isOnTracker(address))
    throw new Error(`the database is on the tracker at ${address}; run the command on that machine`);
  const parsed = parseDatabase(address);
  if (parsed.kind === "sqlite") {
    const { openSqlite, sqliteDialect } = await import("./sqlite.ts");
    return { database: openSqlite(parsed.path), dialect: sqliteDialect };
  }
  if (parsed.kind === "mysql") {
    const { openMysql, mysqlDialect } = await import("./mysql.ts");
    return { database: openMysql(parsed.url, password), dialect: mysqlDialect };
  }
  const { Postgres, postgresDialect } = await import("./postgres.ts");
  return { database: new Postgres(parsed.url, password), dialect: postgresDialect };
}
