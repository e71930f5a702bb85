import { useState } from "preact/hooks";
import { legible } from "../../src/lib/legible.ts";
import { formatCount } from "../../src/lib/quantities.ts";
import { type ApiError, send } from "./api.ts";
import { Confirm } from "./dialog.tsx";
import { useResource } from "./resource.ts";
import type { Steering } from "./steering.ts";
import { Hollow, Loaded, Tile } from "./tile.tsx";
import { BanFields } from "./torrents.tsx";

interface Bans {
  readonly total: number;
  readonly bans: readonly {
    readonly network?: string;
    readonly info_hash?: string;
    readonly until: string | null;
    readonly reason: string;
    readonly by: string;
  }[];
}

/** The bans of networks and torrents, and how to make and lift them. */
export function Bans({ mayWrite, requestSignIn, note }: Steering) {
  const networks = useResource<Bans>("/bans?kind=network&limit=200", 10);
  const torrents = useResource<Bans>("/bans?kind=torrent&limit=200", 10);
  const [isAdding, setAdding] = useState(false);
  const content =
    networks.content === undefined || torrents.content === undefined
      ? undefined
      : {
          total: networks.content.total + torrents.content.total,
          bans: [...networks.content.bans, ...torrents.content.bans],
        };

  function whenAllowed(act: () => void): void {
    if (mayWrite) act();
    else requestSignIn("To make or lift a ban, sign in with a token of the scope write.");
  }

  async function change(
    target: string,
    method: "PUT" | "DELETE",
    path: string,
    body?: object,
  ): Promise<void> {
    setAdding(false);
    try {
      const { persisted } = await send<{ persisted: boolean }>(method, `/api/v1${path}`, body);
      const end = persisted ? "" : " A restart of the tracker forgets this, because admin.state is not set.";
      note({
        level: "warn",
        text: `You ${method === "PUT" ? "banned" : "lifted the ban of"} ${target}.${end}`,
      });
    } catch (failure) {
      note({ level: "error", text: `The bans stay as they are: ${(failure as ApiError).message}` });
    }
    networks.refresh();
    torrents.refresh();
  }

  const aside = content !== undefined && (
    <div class="tools">
      <button type="button" onClick={() => whenAllowed(() => setAdding(true))}>
        Ban a network
      </button>
    </div>
  );
  return (
    <Tile title="Bans" size="s4" aside={aside}>
      <Loaded content={content} error={networks.error ?? torrents.error}>
        {({ bans, total }) =>
          bans.length === 0 ? (
            <Hollow>Nothing is banned. Bans of networks and torrents appear here.</Hollow>
          ) : (
            <div class="scroll">
              <table>
                <tbody>
                  {bans.map(({ network, info_hash: hash, until, reason, by }) => {
                    const target = network ?? hash ?? "";
                    const path =
                      network === undefined
                        ? `/torrents/${hash}/ban`
                        : `/bans/${encodeURIComponent(network)}`;
                    return (
                      <tr key={target}>
                        <td class="text">
                          <code>{legible(target)}</code>
                          <span class="muted block">
                            {until === null
                              ? "for ever"
                              : `until ${legible(until).replace("T", " ").replace("Z", " UTC")}`}
                            {reason === "" ? "" : ` · ${legible(reason)}`} · by {legible(by)}
                          </span>
                        </td>
                        <td class="actions">
                          <button
                            type="button"
                            onClick={() => whenAllowed(() => void change(target, "DELETE", path))}
                          >
                            Lift
                          </button>
                        </td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
              {bans.length < total && <p class="note">{formatCount(total)} in all</p>}
            </div>
          )
        }
      </Loaded>
      {isAdding && (
        <Confirm
          title="Ban a network"
          verb="Ban"
          onClose={() => setAdding(false)}
          onConfirm={(form) => {
            const network = `${form.get("network")}`.trim();
            const body = { until: `${form.get("until")}`.trim(), reason: `${form.get("reason")}`.trim() };
            void change(network, "PUT", `/bans/${encodeURIComponent(network)}`, body);
          }}
        >
          <label>
            Address or network
            <input name="network" required placeholder="192.0.2.7 or 2001:db8::/32" autocomplete="off" />
          </label>
          <BanFields />
        </Confirm>
      )}
    </Tile>
  );
}
