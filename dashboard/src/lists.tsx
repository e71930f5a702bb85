import { legible } from "../../src/lib/legible.ts";
import { formatCount, formatDuration } from "../../src/lib/quantities.ts";
import { useResource } from "./resource.ts";
import { Hollow, Loaded, Tile } from "./tile.tsx";

interface Lists {
  readonly lists: readonly {
    readonly name: string;
    readonly source?: string | null;
    readonly entries: number | null;
    readonly age_seconds?: number | null;
    readonly error?: string | null;
  }[];
}

/** The lists of the hooks, with the errors of their sources. */
export function Lists() {
  const { content, error } = useResource<Lists>("/lists", 10);
  return (
    <Tile title="Lists" size="s4">
      <Loaded content={content} error={error}>
        {({ lists }) =>
          lists.length === 0 ? (
            <Hollow>No hook has a list. Lists of torrents, clients and networks appear here.</Hollow>
          ) : (
            <div class="scroll">
              <table>
                <thead>
                  <tr>
                    <th>List</th>
                    <th class="n">Entries</th>
                    <th class="n">Read</th>
                  </tr>
                </thead>
                <tbody>
                  {lists.map((list) => (
                    <tr key={list.name}>
                      <td class="text">
                        {legible(list.name)}
                        {list.error != null && <em class="block">{legible(list.error)}</em>}
                      </td>
                      <td class="n">{formatCount(list.entries)}</td>
                      <td class="n">
                        {list.age_seconds == null ? "–" : `${formatDuration(list.age_seconds)} ago`}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Loaded>
    </Tile>
  );
}
