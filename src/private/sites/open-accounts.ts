import { type PrivateOptions, parseDatabase } from "../options.ts";
import { Ledger } from "./mysql/ledger.ts";
import { LedgerAdministration } from "./mysql/ledger-administration.ts";
import { Mysql } from "./mysql/mysql.ts";
import { type Accounts, SiteError } from "./sql/administration.ts";

/**
 * Opens the accounts of a site that has software of its own.
 * @param isExclusive  see `openDatabase`
 * @throws Error that names what is missing
 */
export async function openSiteAccounts(
  { site, database, password, ledger }: Pick<PrivateOptions, "site" | "database" | "password" | "ledger">,
  { isExclusive = false }: { isExclusive?: boolean } = {},
): Promise<{ accounts: Accounts; close(): Promise<void> }> {
  const parsed = parseDatabase(database);
  if (parsed.kind !== "mysql") throw new SiteError(`the site ${site} needs MariaDB or MySQL`);
  const mysql = new Mysql(parsed.url, { ...(password !== "" && { password }), isExclusive });
  const close = () => mysql.close();
  try {
    const notes = new Ledger(mysql, ledger);
    await notes.open();
    const { accountTablesOf } =
      site === "gazelle" ? await import("./gazelle/tables.ts") : await import("./unit3d/tables.ts");
    return { accounts: new LedgerAdministration(mysql, notes, await accountTablesOf(mysql)), close };
  } catch (error) {
    await close();
    throw error;
  }
}
