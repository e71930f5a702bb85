import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { cannotRead, cannotWrite, explainSystemError } from "../../lib/file-errors.ts";
import { makeDirectory } from "../../private/make-directory.ts";
import { checkDatabase, parseDatabase } from "../../private/options.ts";
import { SiteError } from "../../private/sites/sql/administration.ts";
import { openDatabase } from "../../private/sites/sql/open-database.ts";
import { createTables } from "../../private/sites/sql/schema.ts";
import { UsageError } from "../client-command.ts";
import { writeOutput } from "../output-file.ts";
import { endingSignals, print } from "../terminal.ts";

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
  const address = url ?? join(directory, "private.sqlite");
  const problem = checkDatabase(address);
  if (problem !== undefined) throw new UsageError(`--database: ${problem}`);
  const parsed = parseDatabase(address);
  const file = parsed.kind === "sqlite" ? resolve(parsed.path) : undefined;
  const files = file === undefined ? [config] : [config, file];
  for (const one of files)
    if (existsSync(one)) throw new SiteError(`${one}: the file exists; choose another directory`);
  const password = passwordFile === undefined ? "" : readPassword(passwordFile);
  makeDirectory(directory);
  const writeConfig = () =>
    writeOutput(config, renderConfig(directory, file ?? address, passwordFile), { isNew: true });
  // What fails leaves nothing, so that the command can be repeated. The tables of a server cannot be taken back, so they come last.
  const [first, last, made] =
    file === undefined
      ? [writeConfig, () => makeTables(address, password), config]
      : [() => makeDatabase(file), writeConfig, file];
  await first();
  const takeBack = () => rmSync(made, { force: true });
  const interrupt = (_: NodeJS.Signals, number: number) => {
    takeBack();
    process.exit(128 + number);
  };
  for (const signal of endingSignals) process.once(signal, interrupt);
  try {
    await last();
  } catch (error) {
    takeBack();
    throw error;
  } finally {
    for (const signal of endingSignals) process.off(signal, interrupt);
  }
  const word = quoteForShell(config);
  print(`${files.join("\n")}

Start the tracker:  chihaya --config ${word}
Add a user:         chihaya private add-user NAME --config ${word}
Add a torrent:      chihaya private add-torrent FILE --config ${word}
Announce URL:       chihaya private announce-url NAME --config ${word}
`);
}

/** Makes a database of SQLite, which gets its name when it is complete. @throws Error that names the file */
async function makeDatabase(file: string): Promise<void> {
  makeDirectory(dirname(file));
  const unfinished = `${file}.unfinished`;
  const remove = () => {
    for (const end of ["", "-journal", "-wal", "-shm"]) rmSync(`${unfinished}${end}`, { force: true });
  };
  remove(); // what a command left that was killed
  try {
    writeFileSync(unfinished, "", { flag: "wx", mode: 0o600 }); // it will have the passkeys
    await makeTables(unfinished, "");
    renameSync(unfinished, file);
  } catch (error) {
    remove();
    throw "syscall" in (error as object) ? new Error(cannotWrite(file, error), { cause: error }) : error;
  }
}

async function makeTables(database: string, password: string): Promise<void> {
  const site = await openDatabase(database, password);
  try {
    await createTables(site);
  } finally {
    await site.database.close();
  }
}

/** @throws SiteError that names the file */
function readPassword(file: string): string {
  try {
    return readFileSync(file, "utf8").trimEnd();
  } catch (error) {
    throw new SiteError(`--password-file: ${cannotRead(file, explainSystemError(error))}`, { cause: error });
  }
}

/** Returns text as one word of a command for the shell. */
function quoteForShell(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Returns text as a value of the configuration, in which `${` names a variable. */
function toYaml(text: string): string {
  return JSON.stringify(text.replaceAll("${", () => "$${"));
}

function renderConfig(directory: string, database: string, passwordFile: string | undefined): string {
  const password = passwordFile === undefined ? "" : `\n    password_file: ${toYaml(resolve(passwordFile))}`;
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
    database: ${toYaml(database)}${password}
    journal:
      dir: ${toYaml(join(directory, "journal"))}
    # What users put into their client; :passkey stands for their passkey.
    # announce_url: "http://tracker.example.com:6969/announce/:passkey"
`;
}
