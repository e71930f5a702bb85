import type { Clock } from "../../../lib/clock.ts";
import { exactNumber } from "../../../lib/exact-json.ts";
import { unprintable } from "../../../lib/legible.ts";
import { formatTime } from "../../../lib/time.ts";
import { type Block, boolean, integer, options, text, Value } from "../../../options/index.ts";
import { createPasskey, isPasskey } from "../../../private/passkey.ts";
import {
  checkClientPrefix,
  checkRecordName,
  type RecordCall,
  type RecordKind,
  recordErrorCode,
  type SiteRow,
} from "../../../private/site-records.ts";
import { type Endpoint, type EndpointCall, endpoint } from "../endpoint.ts";
import { Problem, refuse } from "../problem.ts";
import { count, list, nullable, object, type Shape, string } from "../shape.ts";
import { readEnd } from "./bans.ts";

/** What `/site` needs. */
export interface SiteDeps {
  readonly clock: Clock;
  /**
   * Makes a call to the records of the private site. Undefined in a public tracker.
   * @returns the records; undefined if the software of the site keeps them
   */
  readonly callSite: ((call: RecordCall) => Promise<readonly SiteRow[] | undefined>) | undefined;
}

type Field = Value<unknown, unknown>;
type Fields = Readonly<Record<string, Field>>;
/** A record as JSON. */
type View = Readonly<Record<string, unknown>>;

/** One kind of records with its resource. */
interface Resource {
  readonly kind: RecordKind;
  /** The parts of the path that are the key, by name, with the check of each. */
  readonly key: Readonly<Record<string, (part: string) => string | undefined>>;
  readonly one: string;
  /** Whether the site draws the id of a new record. */
  readonly draws: boolean;
  /** The columns that operators set, with their defaults. */
  readonly fields: Fields;
  /** The other columns of a response. */
  readonly shown: Readonly<Record<string, Shape<unknown>>>;
}

const lastId = 2 ** 32 - 1;
const isId = (part: string): boolean => /^[1-9]\d{0,9}$/.test(part) && Number(part) <= lastId;
const checkIdOr0 = (part: string): string | undefined =>
  part === "0" || isId(part) ? undefined : "expected an id, or 0 for all";
const checkTorrent = (part: string): string | undefined =>
  isId(part) || /^(?:[\da-f]{40}|[\da-f]{64})$/i.test(part) ? undefined : "expected an id or an infohash";
const checkUser = (part: string): string | undefined =>
  isId(part) || /^name:./.test(part) ? undefined : 'expected an id, or "name:" and a name';

function checkTitle(title: string): string | undefined {
  return title.search(unprintable) < 0 && title.isWellFormed()
    ? undefined
    : "expected text without control characters";
}

/** Lets a value be null too. */
function orNull(value: Value<unknown, unknown>): Field {
  const { facts } = value;
  const json = { anyOf: [facts.json, { type: "null" }] };
  return new Value<unknown, unknown>({ ...facts, json }, (input, path, reader) =>
    input === null ? null : value.read(input, path, reader),
  );
}

const hex = (digits: number): Field =>
  orNull(
    text({
      check: (given) =>
        given.length === digits && /^[\da-f]*$/i.test(given)
          ? undefined
          : `expected ${digits} hexadecimal digits`,
    }),
  );
const percent = (): Value<number> => integer(0, 65_534);
const missing = (field: Field, description: string): Field =>
  field.default(null as never).describe(description);
const until = (): Field =>
  missing(
    orNull(text()),
    'When the factors end: a time of RFC 3339, or a duration from now such as "24h"; null for never.',
  );
const factors = {
  up: missing(
    orNull(percent()),
    "Percent of the uploaded bytes that count; null leaves it to other sources.",
  ),
  down: missing(
    orNull(percent()),
    "Percent of the downloaded bytes that count, 0 for freeleech; null leaves it to others.",
  ),
};

const userResource: Resource = {
  ...{ kind: "users", one: "user", key: { user: checkUser }, draws: true },
  fields: {
    name: text({ check: checkRecordName }).describe("The name, which no other user has."),
    enabled: boolean().default("true").describe("Whether the user may announce."),
    can_leech: boolean()
      .default("true")
      .describe("Whether the user may download. False for a user on ratio watch."),
    hidden: boolean().default("false").describe("Whether other users do not get the user's peers."),
    passkey: text({ check: (given) => (isPasskey(given) ? undefined : "expected 32 letters and digits") })
      .optional()
      .describe("32 letters and digits, drawn if missing. Responses have the first four only.") as Field,
    group_id: missing(orNull(integer(1, lastId)), "The group of the user; null for none."),
  },
  shown: {
    id: count(),
    uploaded: count("Credited bytes."),
    downloaded: count("Credited bytes."),
    raw_uploaded: count("Bytes without factors."),
    raw_downloaded: count("Bytes without factors."),
  },
};

const resources: readonly Resource[] = [
  userResource,
  {
    ...{ kind: "torrents", one: "torrent", key: { torrent: checkTorrent }, draws: true },
    fields: {
      info_hash: missing(hex(40), "The infohash of version 1."),
      info_hash_v2: missing(hex(64), "The infohash of version 2."),
      name: missing(orNull(text({ check: checkTitle })), "The name."),
      up: percent().default("100").describe("Percent of the uploaded bytes that count."),
      down: percent().default("100").describe("Percent of the downloaded bytes that count."),
      until: until(),
      status: integer(0, 127).default("1").describe("1 if the torrent may be announced."),
    },
    shown: {
      id: count(),
      seeders: count(),
      leechers: count(),
      completed: count(),
      last_active: nullable(string("The time of the last announce.")),
    },
  },
  {
    ...{ kind: "groups", one: "group", key: { group: checkUser }, draws: true },
    fields: {
      name: missing(orNull(text({ check: checkRecordName })), "The name, which no other group has."),
      ...factors,
      until: until(),
      slots: missing(
        orNull(integer(0, 1_000_000)),
        "Torrents that a user may download at once; null for no limit.",
      ),
    },
    shown: { id: count() },
  },
  {
    ...{ kind: "grants", one: "grant", key: { user: checkIdOr0, torrent: checkIdOr0 }, draws: false },
    fields: { ...factors, until: until() },
    shown: { user_id: count("0 for everybody."), torrent_id: count("0 for all torrents.") },
  },
  {
    ...{ kind: "clients", one: "client rule", key: { prefix: checkClientPrefix }, draws: false },
    fields: {
      allow: boolean().describe(
        "Whether clients whose peer id begins so may announce. With any `true`, all others may not.",
      ),
    },
    shown: { prefix: string("The beginning of a peer id.") },
  },
];

/** Makes `/site`: the records of a private site whose software is the tracker. */
export function siteEndpoints(deps: SiteDeps): Endpoint[] {
  return [...resources.flatMap((resource) => endpointsOf(resource, deps)), resetEndpoint(deps)];
}

function endpointsOf(resource: Resource, deps: SiteDeps): Endpoint[] {
  const { kind, one, fields, draws } = resource;
  const base = `/site/${kind}`;
  const path = `${base}/${Object.keys(resource.key)
    .map((name) => `{${name}}`)
    .join("/")}`;
  const shape = shapeOf(resource);
  const whole = options(fields as never) as Block<View, unknown>;
  const part = options(
    Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, withoutDefault(field)])) as never,
  ) as Block<View, unknown>;
  const rowOf = (body: View): SiteRow => toRow(fields, body, deps.clock.unixSeconds);
  const created = object({
    record: shape,
    passkey: nullable(string("Of a new user; it is not shown again.")),
  });
  return [
    endpoint({
      method: "GET",
      path: base,
      scope: "read",
      summary: `The ${one}s of a private site, in the order of their keys`,
      query: options({
        limit: integer(1, 1000).default("100").describe("The most records of a page."),
        cursor: text().default("").describe("`next` of the previous page."),
      }),
      response: object({
        records: list(shape),
        next: nullable(string("The `cursor` of the next page; null after the last.")),
      }),
      problems: [501, 503],
      async handle({ query: { limit, cursor } }) {
        const rows = await call(deps, { op: "list", kind, after: cursor, limit });
        const last = rows.length === limit ? keyOf(resource, rows.at(-1)!) : null;
        return { records: rows.map((row) => viewOf(resource, row)), next: last };
      },
    }),
    ...(draws
      ? [
          endpoint({
            method: "POST",
            path: base,
            scope: "write",
            summary: `Add a ${one}`,
            body: whole,
            status: 201,
            response: created,
            problems: [409, 501, 503],
            async handle({ body, audit }: EndpointCall<unknown, View>) {
              const passkey = kind === "users" ? (body.passkey ?? createPasskey()) : null;
              const row = { ...rowOf(body), ...(passkey !== null && { passkey: passkey as string }) };
              const record = viewOf(resource, (await call(deps, { op: "add", kind, row }))[0]!);
              audit({ added: record });
              return { record, passkey: passkey as string | null };
            },
          }),
        ]
      : []),
    endpoint({
      method: "GET",
      path,
      scope: "read",
      summary: `One ${one}`,
      response: shape,
      problems: [404, 501, 503],
      async handle({ params }) {
        return viewOf(resource, await find(resource, params, deps));
      },
    }),
    endpoint({
      method: "PUT",
      path,
      scope: "write",
      summary: draws ? `Change all of a ${one}` : `Add a ${one}, or change all of it`,
      body: whole,
      response: shape,
      problems: [404, 409, 501, 503],
      handle: ({ params, body, audit }: EndpointCall<unknown, View>) =>
        change(resource, params, rowOf(body), { deps, audit, adds: !draws }),
    }),
    endpoint({
      method: "PATCH",
      path,
      scope: "write",
      summary: `Change a part of a ${one}`,
      body: part,
      response: shape,
      problems: [404, 409, 501, 503],
      handle: ({ params, body, audit }: EndpointCall<unknown, View>) =>
        change(resource, params, rowOf(body), { deps, audit, adds: false }),
    }),
    endpoint({
      method: "DELETE",
      path,
      scope: "write",
      summary: `Remove a ${one}`,
      status: 204,
      problems: [404, 409, 501, 503],
      async handle({ params, audit }) {
        const [row] = await call(deps, { op: "remove", kind, key: readKey(resource, params) });
        if (row === undefined) throw nothing(resource);
        audit({ removed: viewOf(resource, row) });
      },
    }),
  ];
}

function resetEndpoint(deps: SiteDeps): Endpoint {
  return endpoint({
    method: "POST",
    path: "/site/users/{user}/passkey",
    scope: "write",
    summary: "Give a user a new passkey; the old one is refused from then on",
    response: object({ record: shapeOf(userResource), passkey: string("It is not shown again.") }),
    problems: [404, 409, 501, 503],
    async handle({ params, audit }) {
      const passkey = createPasskey();
      const record = await change(userResource, params, { passkey }, { deps, audit, adds: false });
      return { record, passkey };
    },
  });
}

/** Changes a record, or adds it if `adds`. @throws Problem if there is none */
async function change(
  resource: Resource,
  params: Readonly<Record<string, string>>,
  row: SiteRow,
  { deps, audit, adds }: { deps: SiteDeps; audit: EndpointCall<unknown, View>["audit"]; adds: boolean },
): Promise<View> {
  const { kind } = resource;
  const key = readKey(resource, params);
  const [before] = await call(deps, { op: "get", kind, key });
  if (before === undefined && !adds) throw nothing(resource);
  const rows =
    before === undefined
      ? await call(deps, { op: "add", kind, row: { ...keyColumns(resource, params), ...row } })
      : await call(deps, { op: "change", kind, key, row });
  if (rows[0] === undefined) throw nothing(resource);
  const record = viewOf(resource, rows[0]);
  audit({ changed: record, before: before && viewOf(resource, before) });
  return record;
}

async function find(
  resource: Resource,
  params: Readonly<Record<string, string>>,
  deps: SiteDeps,
): Promise<SiteRow> {
  const [row] = await call(deps, { op: "get", kind: resource.kind, key: readKey(resource, params) });
  if (row === undefined) throw nothing(resource);
  return row;
}

function nothing({ one }: Resource): Problem {
  return new Problem(404, `there is no such ${one}`);
}

async function call({ callSite }: SiteDeps, request: RecordCall): Promise<readonly SiteRow[]> {
  if (callSite === undefined)
    throw new Problem(501, 'the tracker is public; the block "private" makes it private');
  let rows: readonly SiteRow[] | undefined;
  try {
    rows = await callSite(request);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === recordErrorCode) throw new Problem(409, message);
    throw new Problem(503, `the site cannot be reached: ${message}`);
  }
  if (rows === undefined) throw new Problem(501, "the software of the site keeps these records");
  return rows;
}

/** @throws Problem for a malformed key */
function readKey({ key }: Resource, params: Readonly<Record<string, string>>): string {
  return Object.entries(key)
    .map(([name, check]) => {
      const part = params[name]!;
      const problem = check(part);
      if (problem !== undefined) throw refuse(`{${name}}`, problem);
      return part;
    })
    .join(":");
}

/** The columns of the key of a record that its path names. */
function keyColumns(
  { kind }: Resource,
  { user, torrent, prefix }: Readonly<Record<string, string>>,
): SiteRow {
  return kind === "grants" ? { user_id: Number(user), torrent_id: Number(torrent) } : { prefix: prefix! };
}

function keyOf({ kind }: Resource, row: SiteRow): string {
  if (kind === "grants") return `${row.user_id}:${row.torrent_id}`;
  return `${kind === "clients" ? row.prefix : row.id}`;
}

/** Returns the columns of a body. @throws Problem for an end that is not to come */
function toRow(fields: Fields, body: View, now: number): SiteRow {
  const row: Record<string, SiteRow[string]> = {};
  for (const name of Object.keys(fields)) {
    const value = body[name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())];
    if (value === undefined) continue;
    row[name] =
      name === "until" && typeof value === "string"
        ? (readEnd("/until", value, now) ?? null)
        : (value as SiteRow[string]);
  }
  return row;
}

const times: readonly string[] = ["until", "last_active"];

/** Shows a record without its passkey. */
function viewOf(resource: Resource, row: SiteRow): View {
  const view: Record<string, unknown> = {};
  for (const name of [...Object.keys(resource.shown), ...Object.keys(resource.fields)]) {
    const value = row[name] ?? null;
    if (name === "passkey") view[name] = `${`${value}`.slice(0, 4)}...`;
    else if (times.includes(name)) view[name] = value === null ? null : formatTime(Number(value));
    else view[name] = typeof value === "bigint" ? exactNumber(value) : value;
  }
  return view;
}

function shapeOf({ shown, fields }: Resource): Shape<View> {
  const described = Object.entries(fields).map(([name, field]) => [name, { json: jsonOf(name, field) }]);
  return object({ ...shown, ...Object.fromEntries(described) }) as Shape<View>;
}

function jsonOf(name: string, { facts, description }: Field): View {
  if (name !== "until") return { ...facts.json, description };
  return {
    anyOf: [{ type: "string" }, { type: "null" }],
    description: "When the factors end; null for never.",
  };
}

/** Returns a field whose key may be missing, without a default. */
function withoutDefault(field: Field): Field {
  return new Value(field.facts, (input, path, reader) => field.read(input, path, reader))
    .describe(field.description)
    .optional() as Field;
}
