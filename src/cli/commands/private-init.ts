import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { checkDatabase, parseDatabase } from "../../private/options.ts";
import { SiteError } from "../../private/sites/sql/administration.ts";
import { openDatabase } from "../../private/sites/sql/open-database.ts";
import { createTables } from "../../private/sites/sql/schema.ts";
import { UsageError } from "../client-command.ts";
import { print } from "../terminal.ts";

/** The flags of `init`. */
export interface InitFlags {
  database?: string | undefined;
  "password-file"?: string | undefined;
}

/** Makes a directory with a configuration and an empty database. @throws UsageError or SiteError with the remedy */
export async function init(
  given: string,
  { database: url, "password-file": passwordFile }: InitFlags,
): Promise<void> {
  if (passwordFile !== undefined && url === undefined)
    throw new UsageError("--password-file: needs --database with the URL of a database");
  const directory = resolve(given);
  const config = join(directory, "chihaya.yaml");
  const database = url ?? join(directory, "private.sqlite");
  const problem = checkDatabase(database);
  if (problem !== undefined) throw new UsageError(`--database: ${problem}`);
  const { kind, ...where } = parseDatabase(database);
  const files = "path" in where ? [config, where.path] : [config];
  for (const file of files)
    if (existsSync(file)) throw new SiteError(`${file}: the file exists; choose another directory`);
  mkdirSync(directory, { recursive: true });
  if ("path" in where) writeFileSync(where.path, "", { flag: "wx", mode: 0o600 }); // it will have the passkeys
  const site = await openDatabase(
    database,
    passwordFile === undefined ? "" : readFileSync(passwordFile, "utf8").trimEnd(),
  );
  try {
    await createTables(site);
  } finally {
    await site.database.close();
  }
  writeFileSync(config, renderConfig(directory, database, passwordFile), { flag: "wx" });
  print(`${files.join("\n")}

Start the tracker:  chihaya --config ${config}
Add a user:         chihaya private add-user NAME --config ${config}
Add a torrent:      chihaya private add-torrent FILE --config ${config}
Her announce URL:   chihaya private announce-url NAME --config ${config}
`);
}

function renderConfig(directory: string, database: string, passwordFile: string | undefined): string {
  const password =
    passwordFile === undefined ? "" : `\n    password_file: ${JSON.stringify(resolve(passwordFile))}`;
  return `# A private tracker: users announce with their passkey, and the database has their traffic. docs/private.md describes it.
chihaya:
  announce_interval: "30m"
  min_announce_interval: "15m"
  metrics_addr: "127.0.0.1:6880"
  http:
    addr: ["0.0.0.0:6969", "[::]:6969"]
  udp:
    addr: ["0.0.0.0:6969", "[::]:6969"]
  private:
    site: sql
    database: ${JSON.stringify(database)}${password}
    journal:
      dir: ${JSON.stringify(join(directory, "journal"))}
    # What users put into their client; :passkey stands for their passkey.
    # announce_url: "http://tracker.example.com:6969/announce/:passkey"
`;
}
