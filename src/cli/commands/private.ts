import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { toHex } from "../../bittorrent/info-hash.ts";
import type { Config } from "../../config/config.ts";
import { formatDiagnostics } from "../../config/diagnostics.ts";
import { loadConfig } from "../../config/load.ts";
import { findConfigFile } from "../../config/source.ts";
import type { ListenAddress } from "../../ip/listen-address.ts";
import { toExactJson } from "../../lib/exact-json.ts";
import { Journal } from "../../private/accounting/journal.ts";
import { setJournalAside } from "../../private/accounting/set-aside.ts";
import { giveToOwner } from "../../private/give-to-owner.ts";
import type { PrivateOptions } from "../../private/options.ts";
import { checkRecordName, type SiteRow } from "../../private/site-records.ts";
import { type Accounts, SiteAdministration, SiteError } from "../../private/sites/sql/administration.ts";
import type { OpenDatabase } from "../../private/sites/sql/database.ts";
import { openDatabase } from "../../private/sites/sql/open-database.ts";
import { checkTables } from "../../private/sites/sql/schema.ts";
import { SqlRecords } from "../../private/sites/sql/sql-records.ts";
import { runReporting, UsageError } from "../client-command.ts";
import { ExitCode } from "../command.ts";
import { writeOutput } from "../output-file.ts";
import { complain, print, printBytes } from "../terminal.ts";
import { withAnnounce } from "../torrent-file.ts";
import { type InitFlags, init } from "./private-init.ts";
import { type RuleFlags, ruleActions, ruleFlags, rulesHelp, rulesUsage } from "./private-rules.ts";
import { infoHashOf, readSubject, readTorrent, warnIfPublic, warnIfUnknown } from "./private-torrents.ts";

/** The help of `chihaya private`. */
export const help: string = `Usage: chihaya private init DIR [--database URL [--password-file FILE]]
       chihaya private add-user NAME [flags]
       chihaya private add-torrent FILE|INFOHASH [flags]
       chihaya private announce-url NAME [FILE] [--udp] [--out FILE] [flags]
       chihaya private reset-passkey|disable-user|enable-user NAME [flags]
       chihaya private stats [NAME] [flags]
       chihaya private quarantine [--retry] [flags]
       chihaya private adopt [flags]
${rulesUsage}
Manages the users and torrents of a private tracker of the site "sql". A running tracker takes changes within a second.
"stats", "quarantine" and "adopt" are also for the sites "gazelle" and "unit3d".

"init" makes DIR with a configuration, chihaya.yaml, and an empty database, private.sqlite. Nothing is overwritten.
  --database URL      makes the tables in an empty database of MariaDB, MySQL or PostgreSQL instead, such as
                      mysql://chihaya@127.0.0.1/site or postgres://chihaya@127.0.0.1/site
  --password-file FILE
                      has the password of the user of the database
"add-user" prints the id and the passkey of the new user. A client with the passkey announces as this user.
"add-torrent" adds the torrent of a metainfo file, or an infohash. A torrent that the site has already is not changed.
"announce-url" prints the announce URL of a user. With FILE it writes the torrent with this URL as its only tracker.
  --udp               prints the URL for UDP
  --out FILE          writes the torrent to FILE (default: standard output)
"reset-passkey" prints a new passkey; the old one is refused from then on.
"stats" prints the numbers of the site, or the traffic of a user.
"quarantine" lists the traffic that the database did not take, with reasons.
  --retry             credits it now, such as after you have restored a user; what the database does not take stays
"adopt" starts a new journal for the database, if its journal is lost. Stop the tracker first. Old records are moved aside.
${rulesHelp}
  --config FILE       configuration file with the block "private" (see chihaya serve --help)
  --set PATH=VALUE    overrides one setting; repeatable
  --json              print JSON

Exit codes: 0 done, 1 failed, 2 wrong usage, 78 invalid configuration.
`;

interface Flags extends InitFlags, RuleFlags {
  config?: string | undefined;
  set?: string[] | undefined;
  json: boolean;
  retry: boolean;
  udp: boolean;
  out?: string | undefined;
}

/** A configuration that cannot be used; the message is complete. */
class ConfigError extends Error {}

/** Runs `chihaya private`. @param args  after the name of the command @returns the exit code */
export function run(args: string[]): Promise<number> {
  return runReporting("private", async () => {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        config: { type: "string" },
        set: { type: "string", multiple: true },
        json: { type: "boolean", default: false },
        retry: { type: "boolean", default: false },
        udp: { type: "boolean", default: false },
        out: { type: "string" },
        database: { type: "string" },
        "password-file": { type: "string" },
        ...ruleFlags,
      },
    });
    const [name = "", ...rest] = positionals;
    const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
    if (action === undefined) throw new UsageError(`needs one of ${Object.keys(actions).join(", ")}`);
    if (rest.length < action.least || rest.length > action.most)
      throw new UsageError(`${name}: needs ${action.needs}`);
    try {
      await action.run(rest, values);
      return ExitCode.ok;
    } catch (error) {
      if (error instanceof UsageError) throw error;
      if (error instanceof ConfigError) {
        complain(error.message);
        return ExitCode.config;
      }
      complain(`chihaya private: ${(error as Error).message}\n`);
      return ExitCode.failed;
    }
  });
}

interface Action {
  least: number;
  most: number;
  needs: string;
  run(args: string[], flags: Flags): void | Promise<void>;
}

const oneName = { least: 1, most: 1, needs: "the NAME of a user" };
const nothing = { least: 0, most: 0, needs: "no argument" };

const actions: Readonly<Record<string, Action>> = {
  init: { least: 1, most: 1, needs: "a directory", run: ([directory], flags) => init(directory!, flags) },
  "add-user": { ...oneName, run: ([name], flags) => addUser(name!, flags) },
  "add-torrent": {
    ...{ least: 1, most: 1, needs: "a metainfo FILE or an INFOHASH" },
    run: ([subject], flags) => addTorrent(subject!, flags),
  },
  "announce-url": {
    ...{ least: 1, most: 2, needs: "the NAME of a user, and at most one metainfo FILE" },
    run: ([name, file], flags) => announceUrl(name!, file, flags),
  },
  "reset-passkey": {
    ...oneName,
    run: ([name], flags) =>
      withSite(flags, async (site) => show(flags, { name: name!, ...(await site.resetPasskey(name!)) })),
  },
  "disable-user": { ...oneName, run: ([name], flags) => setEnabled(name!, false, flags) },
  "enable-user": { ...oneName, run: ([name], flags) => setEnabled(name!, true, flags) },
  stats: {
    least: 0,
    most: 1,
    needs: "at most the NAME of a user",
    run: ([name], flags) => stats(name, flags),
  },
  quarantine: { ...nothing, run: (_, flags) => quarantine(flags) },
  adopt: { ...nothing, run: (_, flags) => adopt(flags) },
  ...Object.fromEntries(
    Object.entries(ruleActions).map(([name, { needs, run: change }]) => [
      name,
      {
        ...(needs === undefined ? nothing : { least: 1, most: 1, needs }),
        run: ([subject = ""], flags) =>
          withSite(flags, async (_, open) => {
            const deps = { records: new SqlRecords(open), infoHash: infoHashOf, now: Date.now() / 1000 };
            showRows(flags, await change(deps, subject, flags));
          }),
      } satisfies Action,
    ]),
  ),
};

async function addUser(name: string, flags: Flags): Promise<void> {
  const problem = checkRecordName(name);
  if (problem !== undefined) throw new UsageError(`add-user: ${JSON.stringify(name)}: ${problem}`);
  await withSite(flags, async (site) => show(flags, { name, ...(await site.addUser(name)) }));
}

async function setEnabled(name: string, enabled: boolean, flags: Flags): Promise<void> {
  await withSite(flags, async (site) => {
    await site.setEnabled(name, enabled);
    show(flags, { name, enabled });
  });
}

async function addTorrent(subject: string, flags: Flags): Promise<void> {
  const torrent = readSubject(subject);
  if (torrent.file !== undefined) warnIfPublic(subject, torrent.file);
  await withSite(flags, async (site) => {
    const { id, isNew } = await site.addTorrent(torrent);
    const hash = toHex(torrent.v1 ?? torrent.v2!.subarray(0, 20));
    show(flags, { id, info_hash: hash, new: isNew });
  });
}

async function announceUrl(name: string, file: string | undefined, flags: Flags): Promise<void> {
  if (file === undefined && flags.out !== undefined) throw new UsageError("--out: needs a metainfo FILE");
  const config = load(flags);
  const torrent = file === undefined ? undefined : readTorrent(file);
  await withSite(flags, async (site, open) => {
    const { passkey } = await site.user(name);
    if (torrent !== undefined) await warnIfUnknown(file!, torrent, new SqlRecords(open));
    const url = urlPattern(config, flags.udp).replaceAll(":passkey", passkey);
    if (torrent === undefined) {
      if (flags.json) print(`${JSON.stringify({ url })}\n`);
      else print(`${url}\n`);
      return;
    }
    const bytes = withAnnounce(torrent, url);
    if (flags.out === undefined) printBytes(bytes);
    else await writeOutput(flags.out, bytes, { mode: 0o600 });
  });
}

/** Returns the announce URL with `:passkey`: of the configuration, or else of the first listener. */
function urlPattern(config: Config & { private: PrivateOptions }, udp: boolean): string {
  const { http, udp: datagrams, private: options } = config;
  if (!udp && options.announceUrl !== "") return options.announceUrl;
  const listeners: [string, ListenAddress | undefined][] = [
    ["http", udp ? undefined : http?.listen[0]],
    ["https", udp ? undefined : http?.listenTls[0]],
    ["udp", datagrams?.listen[0]],
  ];
  const [scheme, address] = listeners.find(([, listener]) => listener !== undefined) ?? [];
  if (address === undefined)
    throw new SiteError("the configuration has no listener for UDP; leave out --udp");
  const { host, port } = address;
  const reachable = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `${scheme}://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}/announce/:passkey`;
}

async function stats(name: string | undefined, flags: Flags): Promise<void> {
  await withAccounts(flags, async (site) => {
    if (name !== undefined) {
      const { id, enabled, uploaded, downloaded } = await site.user(name);
      show(flags, { name, id, enabled, uploaded, downloaded });
      return;
    }
    const { applied = 0, appliedAt, ...numbers } = await site.stats();
    const at = appliedAt === undefined ? null : new Date(appliedAt * 1000).toISOString();
    show(flags, { ...numbers, applied, applied_at: at });
  });
}

async function quarantine(flags: Flags): Promise<void> {
  await withAccounts(flags, async (site) => {
    if (flags.retry) return show(flags, await site.retryQuarantined());
    const rows = (await site.quarantined()).map(({ at, ...row }) => ({
      ...row,
      at: new Date(at * 1000).toISOString(),
    }));
    if (flags.json) return print(`${toExactJson(rows)}\n`);
    for (const { at, user_id, torrent_id, uploaded, downloaded, reason } of rows) {
      const what = torrent_id === null ? `user ${user_id}` : `user ${user_id}, torrent ${torrent_id}`;
      print(`${at}  ${what}  uploaded ${uploaded}, downloaded ${downloaded}: ${reason}\n`);
    }
    if (rows.length === 0) print("nothing was set aside\n");
  });
}

async function adopt(flags: Flags): Promise<void> {
  const { journal: options } = load(flags).private;
  await withAccounts(
    flags,
    async (site) => {
      const open = () => new Journal({ directory: options.dir, keep: options.keep, segmentBytes: 1 });
      const old = open();
      const { instance, last } = old;
      old.close();
      const applied = await site.lastApplied(instance);
      if (applied !== undefined && applied <= last)
        throw new SiteError("the database has the traffic of this journal; there is nothing to adopt");
      const aside = setJournalAside(options.dir, `set-aside-${new Date().toISOString().replaceAll(":", "")}`);
      const fresh = open();
      await site.adopt(fresh.instance);
      fresh.close();
      for (const name of readdirSync(options.dir)) giveToOwner(join(options.dir, name));
      print(`the database has a new journal; the files of the old one are in ${aside}\n`);
    },
    { isExclusive: true },
  );
}

function load({ config: given, set }: Flags): Config & { private: PrivateOptions } {
  const file = findConfigFile(given, process.env);
  const loaded = loadConfig({ file, env: process.env, set });
  if (!loaded.ok) throw new ConfigError(formatDiagnostics(loaded.errors));
  const { config } = loaded;
  if (config.private === undefined)
    throw new ConfigError(
      `chihaya private: ${file ?? "the default configuration"} has no block "private"; "chihaya private init DIR" makes one\n`,
    );
  return { ...config, private: config.private };
}

/**
 * Runs `work` with the accounts of any site.
 * @param options  `isExclusive` refuses to run while a tracker has the accounts
 */
async function withAccounts(
  flags: Flags,
  work: (site: Accounts) => Promise<void>,
  options: { isExclusive?: boolean } = {},
): Promise<void> {
  const { site, database, password, ledger } = load(flags).private;
  if (site !== "gazelle" && site !== "unit3d") return withSite(flags, work, options);
  const { openSiteAccounts } = await import("../../private/sites/open-accounts.ts");
  const { accounts, close } = await openSiteAccounts({ site, database, password, ledger }, options);
  try {
    await work(accounts);
  } finally {
    await close();
  }
}

/** Runs `work` with the users and torrents of a site without software of its own. */
async function withSite(
  flags: Flags,
  work: (site: SiteAdministration, open: OpenDatabase) => Promise<void>,
  options: { isExclusive?: boolean } = {},
): Promise<void> {
  const { site, database: address, password } = load(flags).private;
  if (site === "gazelle" || site === "unit3d")
    throw new SiteError(
      `the users and torrents of the site ${site} are managed by its own software; for this site there are "stats", "quarantine" and "adopt"`,
    );
  const open: OpenDatabase = await openDatabase(address, password, options);
  try {
    await checkTables(open);
    await work(new SiteAdministration(open), open);
  } finally {
    await open.database.close();
  }
}

function showRows(flags: Flags, rows: SiteRow | SiteRow[]): void {
  if (flags.json) print(`${toExactJson(rows)}\n`);
  else
    for (const row of Array.isArray(rows) ? rows : [rows]) {
      const fields = Object.entries(row).map(([key, value]) => `${key} ${value ?? "-"}`);
      print(`${fields.join(", ")}\n`);
    }
}

function show(flags: Flags, values: Readonly<Record<string, unknown>>): void {
  if (flags.json) print(`${toExactJson(values)}\n`);
  else for (const [key, value] of Object.entries(values)) print(`${key}: ${value ?? "never"}\n`);
}
