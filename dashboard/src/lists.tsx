import { legible } from "../../src/lib/legible.ts";
import { formatCount, formatDuration } from "../../src/lib/quantities.ts";
import type { Stats } from "./api.ts";
import { useResource } from "./resource.ts";
import { Hollow, Tile } from "./tile.tsx";

/** A list as `/lists` has it. */
interface List {
  readonly name: string;
  readonly hook: string;
  /** `whitelist` or `blacklist`. */
  readonly kind: string;
  readonly size: number | null;
  readonly loaded: boolean;
  readonly files: readonly string[];
  readonly urls: readonly string[];
  readonly configured: number;
  readonly added: number;
}

/** A row: a list, or all lists of a hook. */
interface Row {
  readonly name: string;
  readonly sources: readonly string[];
  readonly entries: number | null;
  readonly failing: number;
  readonly age: number | null;
  readonly isLoaded: boolean;
}

/** The lists of the hooks, with their ages and failures. */
export function Lists({ stats }: { readonly stats: Stats | undefined }) {
  const { content } = useResource<{ lists: readonly List[] }>("/lists", 10);
  const rows = rowsOf(content?.lists, stats?.lists ?? []);
  const failing = rows.filter((row) => row.failing > 0 || !row.isLoaded).length;
  return (
    <Tile title="Lists" size="s4" aside={failing > 0 && <em>{formatCount(failing)} failing</em>}>
      {rows.length === 0 ? (
        <Hollow>
          {stats === undefined
            ? "Reading …"
            : "No hook has a list. Lists of torrents, clients and networks appear here."}
        </Hollow>
      ) : (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>List</th>
                <th class="n">Entries</th>
                <th class="n" title="When the list last agreed with its source">
                  Current
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map(({ name, sources, entries, failing: failed, age, isLoaded }) => (
                <tr key={name}>
                  <td class="text">
                    {legible(name)}
                    {sources.map((source) => (
                      <span class="muted block" key={source}>
                        {legible(source)}
                      </span>
                    ))}
                    {failed > 0 && (
                      <em class="block">
                        {formatCount(failed)} {failed === 1 ? "source fails" : "sources fail"}; see the events
                      </em>
                    )}
                    {!isLoaded && <em class="block">not loaded; see the events</em>}
                  </td>
                  <td class="n">{formatCount(entries)}</td>
                  <td class="n">{age === null ? "–" : `${formatDuration(age)} ago`}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Tile>
  );
}

/** Joins the lists with what the metrics say of their hooks. */
function rowsOf(lists: readonly List[] | undefined, hooks: Stats["lists"]): Row[] {
  if (lists === undefined) {
    return hooks.map(({ hook, entries, failing_sources: failing, age_seconds: age }) => ({
      name: hook,
      sources: [],
      entries,
      failing,
      age,
      isLoaded: true,
    }));
  }
  // A hook has both kinds of lists, and mostly one of them is empty.
  const used = lists.filter(
    ({ files, urls, configured, added }) => files.length + urls.length + configured + added > 0,
  );
  return used.map(({ hook, kind, size, loaded, files, urls, added, configured }) => {
    const sources = [...files, ...urls];
    // The metrics are those of all lists of a hook.
    const own = sources.length === 0 ? undefined : hooks.find((one) => one.hook === hook);
    return {
      name: `${hook}: ${kind}`,
      sources,
      entries: size ?? (own?.entries ?? 0) + configured + added,
      failing: own?.failing_sources ?? 0,
      age: own?.age_seconds ?? null,
      isLoaded: loaded,
    };
  });
}
