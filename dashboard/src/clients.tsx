import { legible } from "../../src/lib/legible.ts";
import { formatCount, formatShare } from "../../src/lib/quantities.ts";
import { useResource } from "./resource.ts";
import { Hollow, Loaded, Tile } from "./tile.tsx";

interface Clients {
  readonly clients: readonly {
    readonly name: string;
    readonly announces: number;
    /** Null if the store does not keep peer ids. */
    readonly peers: number | null;
    readonly versions: Readonly<Record<string, number>>;
  }[];
}

/** The client programs, as they name themselves. */
export function Clients() {
  const { content, error } = useResource<Clients>("/clients", 10);
  return (
    <Tile title="Clients" size="s4">
      <Loaded content={content} error={error}>
        {({ clients }) => {
          const total = clients.reduce((sum, { announces }) => sum + announces, 0);
          const hasPeers = clients.some(({ peers }) => peers !== null);
          return clients.length === 0 ? (
            <Hollow>No announces yet. Clients appear by the name in their peer id.</Hollow>
          ) : (
            <div class="scroll">
              <table>
                <thead>
                  <tr>
                    <th>Client</th>
                    {hasPeers && <th class="n roomy">Peers sampled</th>}
                    <th class="n">Announces</th>
                    <th class="n">Share</th>
                  </tr>
                </thead>
                <tbody>
                  {clients.map(({ name, announces, peers, versions }) => (
                    <tr key={name}>
                      <td class="text clip" title={describe(versions, 20)}>
                        <meter class="under" min={0} max={total || 1} value={announces} aria-hidden="true" />
                        <span>{legible(name)}</span> <span class="muted">{describe(versions)}</span>
                      </td>
                      {hasPeers && <td class="n roomy">{formatCount(peers)}</td>}
                      <td class="n">{formatCount(announces)}</td>
                      <td class="n">{formatShare(total === 0 ? null : announces / total)}</td>
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

/** The most frequent versions. */
function describe(versions: Readonly<Record<string, number>> = {}, most = 3): string {
  const names = Object.entries(versions)
    .sort(([, a], [, b]) => b - a)
    .map(([version]) => legible(version));
  return names.slice(0, most).join(", ") + (names.length > most ? " …" : "");
}
