import { derivedTable, valueLists } from "../mysql/bulk.ts";
import { isRowError, Mysql } from "../mysql/mysql.ts";
import type { Column, Database, Dialect, SqlRows, SqlText } from "./database.ts";

/** A value that does not fit is a mistake, and names are in double quotes. */
const setup = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ANSI_QUOTES,NO_ENGINE_SUBSTITUTION'";

/** Opens a database of MariaDB or MySQL. */
export function openMysql(url: string, password: string, isExclusive: boolean): Database {
  return new Mysql(url, { password: password === "" ? undefined : password, setup, isExclusive });
}

/** How MariaDB and MySQL write what databases write in different ways. */
export const mysqlDialect: Dialect = {
  kind: "mysql",
  types: {
    serial: "INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY",
    id: "INT UNSIGNED",
    int: "BIGINT",
    flag: "SMALLINT",
    infohash: "VARBINARY(32)",
    bytes: "VARBINARY(20)",
    word: "VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin",
    line: "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    text: "TEXT CHARACTER SET utf8mb4",
  },
  forUpdate: " FOR UPDATE",
  insertSource(_columns: readonly Column[], rows: SqlRows): SqlText {
    return { sql: `VALUES ${valueLists(rows)}`, values: [] };
  },
  table(columns: readonly Column[], rows: SqlRows): SqlText {
    const names = columns.map(({ name }) => name);
    return { sql: `${derivedTable(names, rows)} AS d`, values: [] };
  },
  isRowError,
};
