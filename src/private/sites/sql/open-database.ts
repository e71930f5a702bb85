import { parseDatabase } from "../../options.ts";
import type { OpenDatabase } from "./database.ts";

/** Opens a database. Connects to no server yet. @throws Error that names a missing package or file, and the remedy */
export async function openDatabase(address: string, password: string): Promise<OpenDatabase> {
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
