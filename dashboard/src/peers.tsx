import { legible } from "../../src/lib/legible.ts";
import { formatCount, formatDuration } from "../../src/lib/quantities.ts";
import { Dialog } from "./dialog.tsx";
import { useResource } from "./resource.ts";
import { Hollow, Loaded } from "./tile.tsx";
import type { Torrent } from "./torrents.tsx";

interface Peers {
  readonly peers: readonly {
    readonly address: string;
    readonly port?: number;
    readonly client: string | null;
    readonly seeder: boolean;
    readonly age_seconds: number;
  }[];
}

const shown = 200;

/** The peers of a torrent. Without the scope `peers:read` the tracker gives networks in place of addresses. */
export function Peers({ torrent, onClose }: { readonly torrent: Torrent; readonly onClose: () => void }) {
  const { content, error } = useResource<Peers>(`/torrents/${torrent.info_hash}/peers?limit=${shown}`, 0);
  return (
    <Dialog title="Peers" isWide onClose={onClose}>
      <p>
        <code>{torrent.info_hash}</code>
      </p>
      <Loaded content={content} error={error}>
        {({ peers }) =>
          peers.length === 0 ? (
            <Hollow>No peers.</Hollow>
          ) : (
            <div class="scroll tall">
              <table>
                <thead>
                  <tr>
                    <th>Address</th>
                    <th>Client</th>
                    <th>Role</th>
                    <th class="n">Last announce</th>
                  </tr>
                </thead>
                <tbody>
                  {peers.map(({ address, port, client, seeder, age_seconds: age }, i) => (
                    <tr key={`${i} ${address}`}>
                      <td>{port === undefined ? address : join(address, port)}</td>
                      <td class="text">{legible(client ?? "–")}</td>
                      <td>{seeder ? "seeder" : "leecher"}</td>
                      <td class="n">{formatDuration(age)} ago</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Loaded>
      <p class="hint">
        {content !== undefined && content.peers.length < torrent.peers
          ? `${formatCount(content.peers.length)} of ${formatCount(torrent.peers)} peers. `
          : ""}
        Whole addresses need a token of the scope peers:read.
      </p>
      <div class="menu">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function join(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
