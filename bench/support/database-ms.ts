import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { openDatabase } from "../../src/private/sites/sql/open-database.ts";

/** Returns the milliseconds of processor time that the server of a database on this machine has used; 0 for SQLite. */
export async function databaseMs(address: string): Promise<number> {
  if (!address.startsWith("mysql:")) return 0;
  const { database } = await openDatabase(address, "");
  const [row] = await database.rows("SELECT @@datadir AS directory, @@pid_file AS file");
  await database.close();
  const pid = readFileSync(resolve(row!.directory as string, row!.file as string), "latin1").trim();
  return readdirSync(`/proc/${pid}/task`)
    .map((task) => readFileSync(`/proc/${pid}/task/${task}/schedstat`, "latin1"))
    .reduce((sum, text) => sum + Number(text.split(" ")[0]) / 1e6, 0);
}
