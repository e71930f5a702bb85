import assert from "node:assert/strict";
import { test } from "node:test";
import { batchOf } from "../../../../test/support/private-batch.ts";
import type { Database, SqlRow, Transaction } from "./database.ts";
import { postgresDialect } from "./postgres.ts";
import { schemaVersion } from "./schema.ts";
import { SqlSite } from "./sql-site.ts";

test("a batch fails if a user is added between the update and the look for missing users", async () => {
  const rows = async (sql: string): Promise<SqlRow[]> => {
    if (sql.includes("FROM applied")) return [{ instance: "journal", seq: 0 }];
    if (sql.includes("FROM users")) return [{ id: 7 }];
    return [{ version: schemaVersion }];
  };
  // The update finds no user.
  const transaction: Transaction = { rows, run: async () => 0 };
  const database: Database = {
    rows,
    transaction: (work) => work(transaction),
    close: async () => undefined,
  };
  const site = new SqlSite({ database, dialect: postgresDialect });
  const batch = batchOf(0, [{ user: 7, uploaded: 5 }]);
  await assert.rejects(site.apply("journal", batch), { message: "a user was added meanwhile" });
});
