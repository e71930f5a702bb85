import { legible } from "../../src/lib/legible.ts";
import { formatCount, formatShare } from "../../src/lib/quantities.ts";
import { useResource } from "./resource.ts";
import { Hollow, Loaded, Tile } from "./tile.tsx";

interface Clients {
  readonly clients: readonly { readonly name: string; readonly announces: number }[];
}

/** The client programs, as they name themselves. */
export function Clients() {
  const { content, error } = useResource<Clients>("/clients", 10);
  return (
    <Tile title="Clients" size="s6">
      <Loaded content={content} error={error}>
        {({ clients }) => {
          const total = clients.reduce((sum, { announces }) => sum + announces, 0);
          return clients.length === 0 ? (
            <Hollow>No announces yet. Clients appear by the name in their peer id.</Hollow>
          ) : (
            <div class="scroll">
              <table>
                <thead>
                  <tr>
                    <th>Client</th>
                    <th class="n">Share</th>
                    <th class="n">Announces</th>
                  </tr>
                </thead>
                <tbody>
                  {clients.map(({ name, announces }) => (
                    <tr key={name}>
                      <td class="text">
                        <meter class="under" min={0} max={total} value={announces} aria-hidden="true" />
                        {legible(name)}
                      </td>
                      <td class="n">{formatShare(announces / total)}</td>
                      <td class="n">{formatCount(announces)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          );
        }}
      </Loaded>
    </Tile>
  );
}
