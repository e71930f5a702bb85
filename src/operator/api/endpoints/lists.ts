import { parseInfoHash } from "../../../bittorrent/info-hash.ts";
import type { Clock } from "../../../lib/clock.ts";
import { Pace } from "../../../lib/pace.ts";
import type { EditableList } from "../../../middleware/access-list/editable-list.ts";
import { maxEdits } from "../../../middleware/access-list/list-edits.ts";
import { type Block, boolean as flag, list as listOption, options } from "../../../options/index.ts";
import { changeFile } from "../../lists/list-file.ts";
import type { AdminState } from "../../state/admin-state.ts";
import { maskNetwork } from "../../swarms/peer-page.ts";
import type { SwarmMethods } from "../../swarms/swarm-methods.ts";
import { type Endpoint, type EndpointCall, endpoint } from "../endpoint.ts";
import { type Fault, Problem, refuse } from "../problem.ts";
import { ReaderLimit } from "../reader-limit.ts";
import { boolean, count, list, nullable, object, type Shape, string } from "../shape.ts";

/** What the endpoints of lists need. */
export interface ListDeps {
  readonly clock: Clock;
  readonly state: AdminState;
  readonly swarms: SwarmMethods;
  onError(error: Error): void;
}

/** A list in a response. */
interface ListView {
  readonly name: string;
  readonly hook: string;
  readonly kind: string;
  readonly entries: string;
  readonly size: number | null;
  readonly loaded: boolean;
  readonly files: readonly string[];
  readonly urls: readonly string[];
  readonly configured: number;
  readonly added: number;
  readonly removed: number;
}

const listShape: Shape<ListView> = object({
  name: string("The name in paths of this API."),
  hook: string("The hook that has the list."),
  kind: string("`whitelist` or `blacklist`."),
  entries: string("`torrents`, `clients` or `networks`."),
  size: nullable(count("Entries of files, URLs and configuration; null for networks from files and URLs.")),
  loaded: boolean("Whether the list has been loaded."),
  files: list(string(), "The files that the list is read from."),
  urls: list(string(), "The URLs that the list is read from."),
  configured: count("Entries in the configuration."),
  added: count("Entries that this API has added."),
  removed: count("Entries that this API has removed."),
});

/** The most changes of one request. */
const maxChanges = 10_000;
/** Clients that may read entries at once, because each needs a copy of the list. */
const maxReaders = 2;
/** Characters of a part of the stream. */
const chunkLength = 32 * 1024;

const persist = flag()
  .default("false")
  .describe("Whether to write the change to the file of the list, instead of `admin.state`.");
const persistQuery: Block<{ persist: boolean }, unknown> = options({ persist });

const persisted = boolean("Whether the change outlives the process.");

/** Makes `/lists` and what is below it. */
export function listEndpoints(deps: ListDeps): Endpoint[] {
  const readers = new ReaderLimit(maxReaders, "read entries");

  function find({ name = "" }: Readonly<Record<string, string>>): EditableList {
    const found = deps.state.edits.lists.find((one) => one.name === name);
    if (found === undefined)
      throw new Problem(404, "there is no such list; /api/v1/lists has the lists of the configuration");
    return found;
  }

  function isListed(of: EditableList, entry: string): boolean {
    return deps.state.edits.of(of.name).get(entry)?.isListed ?? of.has(entry);
  }

  /** Adds and removes entries, in all workers. */
  async function change(
    of: EditableList,
    changes: ReadonlyMap<string, boolean>,
    call: EndpointCall<{ persist: boolean }, unknown>,
  ): Promise<{ added: number; removed: number; persisted: boolean }> {
    const { state, clock } = deps;
    const { edits } = state;
    if (!edits.hasRoom(of.name, changes.size))
      throw new Problem(409, `a list has room for ${maxEdits} changes by this API; write them to the file`);
    const before = new Map([...changes.keys()].map((entry) => [entry, isListed(of, entry)]));
    const isInFile = call.query.persist;
    const files = isInFile ? await writeFiles(of, changes) : [];
    const edit = { since: clock.unixSeconds, by: call.principal.name, isInFile };
    for (const [entry, listed] of changes) {
      // The list may be older than its file, so a removal also counts while an edit of the file waits for a reload.
      const earlier = edits.of(of.name).get(entry);
      const isPending = earlier !== undefined && (earlier.isInFile || !earlier.isListed);
      const isRedundant = of.has(entry) === listed && (isInFile || (!listed && !isPending));
      if (isRedundant) edits.delete(of.name, entry);
      else edits.set(of.name, entry, { ...edit, isListed: listed });
    }
    const isKept = (await state.commit(edits)) || isInFile;
    const changed = [...changes].filter(([entry, listed]) => before.get(entry) !== listed);
    await removeTorrents(of, changed);
    const added = changed.filter(([, listed]) => listed).map(([entry]) => entry);
    const removed = changed.filter(([, listed]) => !listed).map(([entry]) => entry);
    const shown = (entries: readonly string[]) => ({ count: entries.length, first: entries.slice(0, 10) });
    call.audit({ list: of.name, added: shown(added), removed: shown(removed), files, persisted: isKept });
    return { added: added.length, removed: removed.length, persisted: isKept };
  }

  /** Removes torrents that the list refuses now, as a reload of the list does. */
  async function removeTorrents(of: EditableList, changed: readonly [string, boolean][]): Promise<void> {
    if (of.entries !== "torrents") return;
    for (const [entry, listed] of changed) {
      if (listed !== (of.kind === "blacklist")) continue;
      await deps.swarms.remove(parseInfoHash(entry)!).catch(deps.onError); // it expires
    }
  }

  return [
    endpoint({
      method: "GET",
      path: "/lists",
      scope: "read",
      summary: "The lists of the approval hooks",
      response: object({ lists: list(listShape) }),
      handle: () => ({ lists: deps.state.edits.lists.map((one) => viewOf(one, deps.state)) }),
    }),
    endpoint({
      method: "GET",
      path: "/lists/{name}",
      scope: "read",
      summary: "One list",
      response: listShape,
      handle: ({ params }) => viewOf(find(params), deps.state),
    }),
    endpoint({
      method: "GET",
      path: "/lists/{name}/entries",
      scope: "read",
      summary:
        'All entries of a list, one {"entry": "..."} a line; without the scope peers:read, networks are cut to /24 and /48',
      streams: "application/x-ndjson",
      problems: [503],
      handle({ params, principal, request }) {
        const of = find(params);
        const isMasked = of.entries === "networks" && !principal.scopes.has("peers:read");
        return readers.admit(request, stream(of, deps.state, isMasked));
      },
    }),
    endpoint({
      method: "POST",
      path: "/lists/{name}/entries",
      scope: "write",
      summary: `Add and remove up to ${maxChanges} entries at once`,
      query: persistQuery,
      body: options({
        add: listOption().default([]).describe("Entries to add."),
        remove: listOption().default([]).describe("Entries to remove."),
      }),
      response: object({ added: count(), removed: count(), persisted }),
      problems: [409, 503],
      handle(call) {
        const { add, remove } = call.body;
        const of = find(call.params);
        if (add.length + remove.length > maxChanges)
          throw new Problem(400, `at most ${maxChanges} entries at once, got ${add.length + remove.length}`);
        const faults: Fault[] = [];
        const changes = new Map<string, boolean>();
        for (const [key, texts] of [
          ["add", add],
          ["remove", remove],
        ] as const) {
          for (const [n, text] of texts.entries()) {
            const parsed = of.parse(text);
            const isTwice = "entry" in parsed && key === "remove" && changes.get(parsed.entry) === true;
            if ("entry" in parsed && !isTwice) changes.set(parsed.entry, key === "add");
            else if (faults.length < 100) {
              const detail =
                "problem" in parsed
                  ? parsed.problem
                  : "the request adds the same entry; leave the entry out of add or remove";
              faults.push({ at: `/${key}/${n}`, detail });
            }
          }
        }
        if (faults.length > 0) throw new Problem(400, `${faults[0]!.at}: ${faults[0]!.detail}`, { faults });
        return change(of, changes, call);
      },
    }),
    endpoint({
      method: "GET",
      path: "/lists/{name}/entries/{entry}",
      scope: "read",
      summary: "Whether a list has an entry",
      response: object({
        entry: string("The entry in its usual spelling."),
        listed: boolean(),
        edited: boolean("Whether this API has added or removed the entry."),
      }),
      handle({ params }) {
        const of = find(params);
        const entry = readEntry(of, params);
        const edited = deps.state.edits.of(of.name).has(entry);
        return { entry, listed: isListed(of, entry), edited };
      },
    }),
    endpoint({
      method: "PUT",
      path: "/lists/{name}/entries/{entry}",
      scope: "write",
      summary: "Add an entry to a list",
      query: persistQuery,
      response: object({ entry: string(), listed: boolean(), persisted }),
      problems: [409, 503],
      async handle(call) {
        const of = find(call.params);
        const entry = readEntry(of, call.params);
        const { persisted } = await change(of, new Map([[entry, true]]), call);
        return { entry, listed: true, persisted };
      },
    }),
    endpoint({
      method: "DELETE",
      path: "/lists/{name}/entries/{entry}",
      scope: "write",
      summary: "Remove an entry from a list",
      query: persistQuery,
      response: object({ entry: string(), listed: boolean(), persisted }),
      problems: [409, 503],
      async handle(call) {
        const of = find(call.params);
        const entry = readEntry(of, call.params);
        if (!isListed(of, entry)) throw new Problem(404, "the list has no such entry");
        const { persisted } = await change(of, new Map([[entry, false]]), call);
        return { entry, listed: false, persisted };
      },
    }),
  ];
}

function viewOf(of: EditableList, { edits }: AdminState): ListView {
  const own = [...edits.of(of.name).values()];
  const added = own.filter(({ isListed }) => isListed).length;
  return {
    name: of.name,
    hook: of.hook,
    kind: of.kind,
    entries: of.entries,
    size: of.size ?? null,
    loaded: of.isLoaded,
    files: of.files,
    urls: of.urls,
    configured: of.fixed.size,
    added,
    removed: own.length - added,
  };
}

function readEntry(of: EditableList, { entry = "" }: Readonly<Record<string, string>>): string {
  const parsed = of.parse(entry);
  if ("entry" in parsed) return parsed.entry;
  throw refuse("{entry}", parsed.problem);
}

/** Writes changes to the files of a list. @returns the files that have changed @throws Problem */
async function writeFiles(of: EditableList, changes: ReadonlyMap<string, boolean>): Promise<string[]> {
  const [first] = of.files;
  if (first === undefined)
    throw new Problem(
      409,
      "the list is not read from a file; without persist, the change is kept in admin.state",
    );
  const select = (isListed: boolean) =>
    new Set([...changes].filter(([, listed]) => listed === isListed).map(([entry]) => entry));
  const removed = select(false);
  for (const entry of removed)
    if (of.fixed.has(entry))
      throw new Problem(409, "the configuration itself has the entry; remove it there");
  const changed: string[] = [];
  for (const file of of.files) {
    const added = file === first ? select(true) : new Set<string>();
    if (added.size + removed.size === 0) continue;
    try {
      const readLine = (line: string) => of.readLine(line);
      if ((await changeFile(file, { added, removed, readLine })) > 0) changed.push(file);
    } catch (error) {
      throw new Problem(503, `${file} was not changed: ${(error as Error).message}`);
    }
  }
  return changed;
}

/** Writes all entries as NDJSON, as fast as the client reads. */
async function* stream(
  of: EditableList,
  { edits }: AdminState,
  isMasked: boolean,
): AsyncGenerator<Uint8Array> {
  const own = new Map(edits.of(of.name));
  const pace = new Pace();
  let text = "";
  let previous = "";
  for (const entry of withEdits(await of.snapshot(), own)) {
    const shown = isMasked ? maskNetwork(entry) : entry;
    if (shown !== previous || !isMasked) text += `${JSON.stringify({ entry: shown })}\n`;
    previous = shown;
    if (text.length >= chunkLength) {
      yield Buffer.from(text);
      text = "";
    }
    await pace.step();
  }
  if (text !== "") yield Buffer.from(text);
}

function* withEdits(
  entries: Iterable<string>,
  edits: Map<string, { readonly isListed: boolean }>,
): Iterable<string> {
  for (const entry of entries) {
    const edit = edits.get(entry);
    if (edit?.isListed === true) edits.delete(entry);
    if (edit?.isListed !== false) yield entry;
  }
  for (const [entry, { isListed }] of edits) if (isListed) yield entry;
}
