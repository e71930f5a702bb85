import type { Connection, RowDataPacket } from "mysql2/promise";
import { waitUntil } from "../e2e/wait-until.ts";

/**
 * Changes rows in a transaction that ends when `work` waits for them. The connections that `work` opens have the isolation of
 * MariaDB 11.6.2 and newer, which refuses to change a row that is newer than the transaction (error 1020).
 * @param change  statements that lock what `work` changes last
 */
export async function overtake<Result>(
  database: Connection,
  change: string,
  work: () => Promise<Result>,
): Promise<Result> {
  await database.query("SET GLOBAL innodb_snapshot_isolation = ON");
  try {
    await database.query(`START TRANSACTION; ${change}`);
    const result = work();
    result.catch(() => undefined);
    await waitUntil("the transaction waits for the other one", async () => {
      const [rows] = await database.query<RowDataPacket[]>(
        "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
      );
      return rows.length > 0;
    });
    await database.query("COMMIT");
    return await result;
  } finally {
    await database.query("SET GLOBAL innodb_snapshot_isolation = OFF");
  }
}
