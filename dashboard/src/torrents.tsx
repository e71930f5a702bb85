import { useState } from "preact/hooks";
import { formatCount } from "../../src/lib/quantities.ts";
import { type ApiError, send } from "./api.ts";
import { Confirm } from "./confirm.tsx";
import type { Entry } from "./log.ts";
import { useResource } from "./resource.ts";
import { Hollow, Loaded, Tile } from "./tile.tsx";

interface Torrent {
  readonly info_hash: string;
  readonly seeders: number;
  readonly leechers: number;
  readonly completed: number;
}

interface Torrents {
  readonly torrents: readonly Torrent[];
}

/** What the page may change, and how it says so. */
export interface Steering {
  readonly mayWrite: boolean;
  readonly requestSignIn: (reason: string) => void;
  readonly note: (entry: Omit<Entry, "at">) => void;
}

const sorts = ["peers", "seeders", "leechers", "completed"] as const;
const shown = 50;

/** The largest swarms, or the one that was searched for; with removal and ban. */
export function Torrents({ mayWrite, requestSignIn, note }: Steering) {
  const [sort, setSort] = useState<(typeof sorts)[number]>("peers");
  const [search, setSearch] = useState("");
  const [question, setQuestion] = useState<{ torrent: Torrent; action: "remove" | "ban" }>();
  const wanted = search.trim().toLowerCase();
  const isHash = /^([\da-f]{40}|[\da-f]{64})$/.test(wanted);
  const { content, error, refresh } = useResource<Torrents>(
    isHash ? `/torrents?info_hash=${wanted.slice(0, 40)}` : `/torrents?sort=${sort}&limit=${shown}`,
    10,
  );

  function ask(torrent: Torrent, action: "remove" | "ban"): void {
    if (mayWrite) setQuestion({ torrent, action });
    else requestSignIn("To remove or ban a torrent, sign in with a token of the scope write.");
  }

  async function change({ info_hash: hash }: Torrent, action: "remove" | "ban"): Promise<void> {
    setQuestion(undefined);
    try {
      if (action === "remove") await send("DELETE", `/api/v1/torrents/${hash}`);
      else await send("POST", `/api/v1/torrents/${hash}/ban`, {});
      note({
        level: "warn",
        text: `Torrent ${hash} was ${action === "remove" ? "removed" : "banned"} from this page.`,
      });
    } catch (failure) {
      note({ level: "error", text: `Torrent ${hash} stays: ${(failure as ApiError).message}` });
    }
    refresh();
  }

  const aside = (
    <div class="tools">
      <input
        type="search"
        aria-label="Info hash"
        placeholder="Find an info hash"
        value={search}
        maxLength={64}
        spellcheck={false}
        onInput={(event) => setSearch(event.currentTarget.value)}
      />
      <label>
        <span class="hidden">Sort by</span>
        <select value={sort} onChange={(event) => setSort(event.currentTarget.value as typeof sort)}>
          {sorts.map((one) => (
            <option key={one} value={one}>
              most {one}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
  return (
    <Tile title="Top swarms" size="s12" aside={aside}>
      {wanted !== "" && !isHash ? (
        <Hollow>An info hash has 40 hexadecimal digits; this text has {wanted.length} characters.</Hollow>
      ) : (
        <Loaded content={content} error={error}>
          {({ torrents }) =>
            torrents.length === 0 ? (
              <Hollow>
                {isHash
                  ? "No client has announced this torrent."
                  : "No torrents yet. Swarms appear with their first announce."}
              </Hollow>
            ) : (
              <div class="scroll">
                <table class="swarms">
                  <thead>
                    <tr>
                      <th>Info hash</th>
                      <th class="n">Peers</th>
                      <th class="n">Seeders</th>
                      <th class="n">Leechers</th>
                      <th class="n">Completed</th>
                      <th>
                        <span class="hidden">Actions</span>
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {torrents.map((torrent) => (
                      <tr key={torrent.info_hash}>
                        <td>
                          <code>{torrent.info_hash}</code>
                        </td>
                        <td class="n">{formatCount(torrent.seeders + torrent.leechers)}</td>
                        <td class="n">{formatCount(torrent.seeders)}</td>
                        <td class="n">{formatCount(torrent.leechers)}</td>
                        <td class="n">{formatCount(torrent.completed)}</td>
                        <td class="actions">
                          <button type="button" onClick={() => ask(torrent, "remove")}>
                            Remove
                          </button>
                          <button type="button" onClick={() => ask(torrent, "ban")}>
                            Ban
                          </button>
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )
          }
        </Loaded>
      )}
      {question !== undefined && (
        <Confirm
          title={question.action === "remove" ? "Remove this torrent?" : "Ban this torrent?"}
          verb={question.action === "remove" ? "Remove" : "Ban"}
          onClose={() => setQuestion(undefined)}
          onConfirm={() => void change(question.torrent, question.action)}
        >
          <p>
            <code>{question.torrent.info_hash}</code>
          </p>
          <p>
            {question.action === "remove"
              ? "Its peers and completed downloads are forgotten. Clients that announce again come back."
              : "Its peers are forgotten, and further announces are refused."}
          </p>
        </Confirm>
      )}
    </Tile>
  );
}
