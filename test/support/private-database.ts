import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, type TestContext } from "node:test";
import { openDatabase } from "../../src/private/sites/sql/open-database.ts";
import { temporaryDirectory } from "./daemon.ts";
import { type MariadbServer, startMariadbServer, withoutMariadb } from "./mariadb-server.ts";
import { type PostgresServer, startPostgresServer, withoutPostgres } from "./postgres-server.ts";

/** The databases that the site `sql` runs on, with the reason to skip their tests. */
export const databaseKinds: readonly (readonly [kind: DatabaseKind, skip: string | false])[] = [
  ["SQLite", false],
  ["MariaDB", withoutMariadb],
  ["PostgreSQL", withoutPostgres],
];

export type DatabaseKind = "SQLite" | "MariaDB" | "PostgreSQL";

/** An empty database for one test. */
export interface TestDatabase {
  /** For `private.database`. */
  readonly address: string;
  readonly port: number;
  /** Kills the server without warning, and starts it again on the same data. */
  crash(): Promise<void>;
}

/** The servers of this test file. */
const servers = new Map<DatabaseKind, Promise<MariadbServer | PostgresServer>>();
let databases = 0;

after(async () => {
  for (const server of servers.values()) await (await server).stop();
});

/** Makes an empty database. */
export async function createTestDatabase(t: TestContext, kind: DatabaseKind): Promise<TestDatabase> {
  if (kind === "SQLite") {
    const address = join(temporaryDirectory(t), "site.sqlite");
    writeFileSync(address, "");
    return { address, port: 0, crash: async () => undefined };
  }
  const known = servers.get(kind);
  const starting = known ?? (kind === "MariaDB" ? startMariadbServer() : startPostgresServer());
  servers.set(kind, starting);
  const server = await starting;
  const name = `site${++databases}`;
  const { database } = await openDatabase(server.url(kind === "MariaDB" ? "mysql" : "postgres"), "");
  await database.rows(`CREATE DATABASE ${name}`);
  await database.close();
  return { address: server.url(name), port: server.port, crash: () => server.crash() };
}
