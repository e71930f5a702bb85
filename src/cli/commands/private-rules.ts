import { parseEnd } from "../../lib/time.ts";
import {
  checkClientPrefix,
  checkRecordName,
  RecordError,
  type RecordKind,
  type SiteRecords,
  type SiteRow,
} from "../../private/site-records.ts";
import { parseNumber, UsageError } from "../client-command.ts";

/** The part of the help about rules of the site. */
export const rulesUsage: string = `       chihaya private set-user NAME [--can-leech yes|no] [--hidden yes|no] [--group NAME|none] [flags]
       chihaya private set-group NAME [--up P] [--down P] [--until TIME] [--slots N|none] [flags]
       chihaya private freeleech [--user NAME] [--torrent FILE|INFOHASH] [--until TIME] [flags]
       chihaya private add-grant [--user NAME] [--torrent FILE|INFOHASH] [--up P] [--down P] [--until TIME] [flags]
       chihaya private remove-grant [--user NAME] [--torrent FILE|INFOHASH] [flags]
       chihaya private grants [flags]
       chihaya private allow-client|deny-client|forget-client [flags] -- PREFIX
       chihaya private remove-user NAME|remove-torrent FILE|INFOHASH [flags]
`;

export const rulesHelp: string = `"set-user" changes what a user may do, and the group of the user.
"set-group" adds or changes a group: percent of the bytes that count, and torrents that a user may download at once.
"add-grant" changes what counts, for a user, a torrent, a user and a torrent, or everybody. P is percent: --up 200 counts the
upload twice, --down 0 is freeleech. TIME is a time such as 2026-12-31T00:00:00Z, or a duration such as 24h.
"freeleech" is the grant with --down 0.
"allow-client" lets in only clients that are allowed, by the beginning of the peer id. "deny-client" keeps clients out.
"remove-user" and "remove-torrent" remove also the history. Their traffic that is not credited yet is set aside.
`;

/** The flags of these commands, for `parseArgs`. */
export const ruleFlags = {
  user: { type: "string" },
  torrent: { type: "string" },
  group: { type: "string" },
  "can-leech": { type: "string" },
  hidden: { type: "string" },
  up: { type: "string" },
  down: { type: "string" },
  slots: { type: "string" },
  until: { type: "string" },
} as const;

/** The values of {@link ruleFlags}. */
export type RuleFlags = { readonly [Name in keyof typeof ruleFlags]?: string | undefined };

/** The collaborators of a {@link RuleAction}. */
interface RuleDeps {
  records: SiteRecords;
  /** Returns the infohash of a metainfo file, or the one given, in hexadecimal. */
  infoHash(subject: string): string;
  /** Seconds since 1970. */
  now: number;
}

/** A command that changes or shows rules. */
export interface RuleAction {
  needs: "a name" | "a torrent" | "the beginning of a peer id" | undefined;
  /** @returns what to print */
  run(deps: RuleDeps, subject: string, flags: RuleFlags): Promise<SiteRow | SiteRow[]>;
}

export const ruleActions: Readonly<Record<string, RuleAction>> = {
  "set-user": {
    needs: "a name",
    run: async ({ records }, name, flags) => {
      const row = {
        ...given("can_leech", flags["can-leech"], (text) => yesOrNo("--can-leech", text)),
        ...given("hidden", flags.hidden, (text) => yesOrNo("--hidden", text)),
        ...(flags.group !== undefined && { group_id: await groupId(records, flags.group) }),
      };
      return withoutPasskey(await change(records, "users", `name:${name}`, row));
    },
  },
  "set-group": {
    needs: "a name",
    run: async ({ records, now }, name, flags) => {
      const slots = given("slots", flags.slots, (text) =>
        text === "none" ? null : parseNumber("--slots", text, 0, 1_000_000),
      );
      const row = { ...factorsOf(flags, now), ...slots };
      const known = await records.get("groups", `name:${name}`);
      const problem = known === undefined ? checkRecordName(name) : undefined;
      if (problem !== undefined) throw new UsageError(`set-group: ${JSON.stringify(name)}: ${problem}`);
      return known === undefined
        ? records.add("groups", { name, ...row })
        : change(records, "groups", `${known.id}`, row);
    },
  },
  freeleech: { needs: undefined, run: (deps, _, flags) => grant(deps, { ...flags, down: "0" }) },
  "add-grant": {
    needs: undefined,
    run: (deps, _, flags) => {
      if (flags.up === undefined && flags.down === undefined)
        throw new UsageError("add-grant: needs --up, --down or both");
      return grant(deps, flags);
    },
  },
  "remove-grant": {
    needs: undefined,
    run: async (deps, _, flags) => {
      const { user_id, torrent_id } = await target(deps, flags);
      return remove(deps.records, "grants", `${user_id}:${torrent_id}`);
    },
  },
  grants: {
    needs: undefined,
    run: async ({ records }) => {
      const rows: SiteRow[] = [];
      for (let after = ""; ; ) {
        const page = await records.list("grants", after, 1000);
        rows.push(...page);
        const last = page.at(-1);
        if (last === undefined || page.length < 1000) return rows;
        after = `${last.user_id}:${last.torrent_id}`;
      }
    },
  },
  "allow-client": {
    needs: "the beginning of a peer id",
    run: ({ records }, prefix) => setClient(records, prefix, true),
  },
  "deny-client": {
    needs: "the beginning of a peer id",
    run: ({ records }, prefix) => setClient(records, prefix, false),
  },
  "forget-client": {
    needs: "the beginning of a peer id",
    run: ({ records }, prefix) => remove(records, "clients", prefix),
  },
  "remove-user": {
    needs: "a name",
    run: async ({ records }, name) => withoutPasskey(await remove(records, "users", `name:${name}`)),
  },
  "remove-torrent": {
    needs: "a torrent",
    run: ({ records, infoHash }, subject) => remove(records, "torrents", infoHash(subject)),
  },
};

/** Adds a grant, or changes it. */
async function grant(deps: RuleDeps, flags: RuleFlags): Promise<SiteRow> {
  const { records, now } = deps;
  const key = await target(deps, flags);
  const row = { up: null, down: null, until: null, ...factorsOf(flags, now) };
  const changed = await records.change("grants", `${key.user_id}:${key.torrent_id}`, row);
  return changed ?? records.add("grants", { ...key, ...row });
}

/** Finds user and torrent of a grant; 0 for all. */
async function target(
  { records, infoHash }: RuleDeps,
  { user, torrent }: RuleFlags,
): Promise<{ user_id: number; torrent_id: number }> {
  const idOf = async (kind: RecordKind, key: string): Promise<number> =>
    Number((await find(records, kind, key)).id);
  return {
    user_id: user === undefined ? 0 : await idOf("users", `name:${user}`),
    torrent_id: torrent === undefined ? 0 : await idOf("torrents", infoHash(torrent)),
  };
}

async function setClient(records: SiteRecords, prefix: string, allow: boolean): Promise<SiteRow> {
  const problem = checkClientPrefix(prefix);
  if (problem !== undefined) throw new UsageError(`${prefix}: ${problem}`);
  return (await records.change("clients", prefix, { allow })) ?? records.add("clients", { prefix, allow });
}

async function groupId(records: SiteRecords, name: string): Promise<number | null> {
  return name === "none" ? null : Number((await find(records, "groups", `name:${name}`)).id);
}

async function find(records: SiteRecords, kind: RecordKind, key: string): Promise<SiteRow> {
  const row = await records.get(kind, key);
  if (row === undefined) throw nothing(kind, key);
  return row;
}

async function change(records: SiteRecords, kind: RecordKind, key: string, row: SiteRow): Promise<SiteRow> {
  if (Object.keys(row).length === 0) throw new UsageError("needs a flag that says what to change");
  const changed = await records.change(kind, key, row);
  if (changed === undefined) throw nothing(kind, key);
  return changed;
}

async function remove(records: SiteRecords, kind: RecordKind, key: string): Promise<SiteRow> {
  const row = await find(records, kind, key);
  await records.remove(kind, key);
  return row;
}

function nothing(kind: RecordKind, key: string): RecordError {
  return new RecordError(`none of the ${kind} is ${JSON.stringify(key.replace(/^name:/, ""))}`);
}

function withoutPasskey({ passkey: _, ...row }: SiteRow): SiteRow {
  return row;
}

function factorsOf({ up, down, until }: RuleFlags, now: number): SiteRow {
  return {
    ...given("up", up, (text) => parseNumber("--up", text, 0, 65_534)),
    ...given("down", down, (text) => parseNumber("--down", text, 0, 65_534)),
    ...given("until", until, (text) => parseUntil(text, now)),
  };
}

function given(name: string, text: string | undefined, parse: (text: string) => SiteRow[string]): SiteRow {
  return text === undefined ? {} : { [name]: parse(text) };
}

function yesOrNo(flag: string, text: string): boolean {
  if (text !== "yes" && text !== "no") throw new UsageError(`${flag}: ${text} is neither yes nor no`);
  return text === "yes";
}

/** @returns seconds since 1970, or null for `never` */
function parseUntil(text: string, now: number): number | null {
  if (text === "never") return null;
  const end = parseEnd(text, now);
  if (end !== undefined && end > now) return end;
  throw new UsageError(
    `--until: ${text} is not a time to come such as 2026-12-31T00:00:00Z, a duration such as 24h, or never`,
  );
}
