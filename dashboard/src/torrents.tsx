import { useEffect, useState } from "preact/hooks";
import { formatCount, formatDuration } from "../../src/lib/quantities.ts";
import { type ApiError, send } from "./api.ts";
import { Confirm } from "./dialog.tsx";
import { Peers } from "./peers.tsx";
import { useResource } from "./resource.ts";
import type { Steering } from "./steering.ts";
import { Hollow, Loaded, Tile } from "./tile.tsx";

/** A torrent as `/torrents` lists it. */
export interface Torrent {
  readonly info_hash: string;
  readonly peers: number;
  readonly seeders: number;
  readonly leechers: number;
  readonly completed: number;
}

interface Torrents {
  readonly torrents: readonly Torrent[];
  readonly age_seconds: number;
}

const sorts = ["peers", "seeders", "leechers", "completed"] as const;
const shown = 50;

/** The largest swarms, or those that were searched for; with their peers, removal and ban. */
export function Torrents(steering: Steering) {
  const { mayWrite, requestSignIn, note } = steering;
  const [sort, setSort] = useState<(typeof sorts)[number]>("peers");
  const [search, setSearch] = useState("");
  const [wanted, setWanted] = useState("");
  const [question, setQuestion] = useState<{ torrent: Torrent; action: "remove" | "ban" }>();
  const [opened, setOpened] = useState<Torrent>();
  const isReadable = /^([\da-f]{0,40}|[\da-f]{64}|[a-z2-7]{32})$/.test(wanted);
  const { content, error, refresh } = useResource<Torrents>(
    isReadable ? `/torrents?sort=${sort}&limit=${shown}&info_hash=${wanted}` : undefined,
    10,
  );

  // A pause in typing begins the search.
  useEffect(() => {
    const timer = setTimeout(() => setWanted(search.trim().toLowerCase()), 250);
    return () => clearTimeout(timer);
  }, [search]);

  function ask(torrent: Torrent, action: "remove" | "ban"): void {
    if (mayWrite) setQuestion({ torrent, action });
    else requestSignIn("To remove or ban a torrent, sign in with a token of the scope write.");
  }

  async function change(
    { info_hash: hash }: Torrent,
    action: "remove" | "ban",
    form: FormData,
  ): Promise<void> {
    setQuestion(undefined);
    try {
      if (action === "remove") {
        await send("DELETE", `/api/v1/torrents/${hash}`);
        note({ level: "warn", text: `You removed the torrent ${hash}.` });
      } else {
        const ban = { until: `${form.get("until")}`.trim(), reason: `${form.get("reason")}`.trim() };
        const { persisted } = await send<{ persisted: boolean }>("PUT", `/api/v1/torrents/${hash}/ban`, ban);
        const end = persisted
          ? ""
          : " A restart of the tracker forgets the ban, because admin.state is not set.";
        note({ level: "warn", text: `You banned the torrent ${hash}.${end}` });
      }
    } catch (failure) {
      note({ level: "error", text: `The torrent ${hash} stays: ${(failure as ApiError).message}` });
    }
    refresh();
  }

  const aside = (
    <div class="tools">
      <input
        type="search"
        aria-label="Search by info hash"
        placeholder="Info hash, or its first digits"
        value={search}
        maxLength={64}
        spellcheck={false}
        autocomplete="off"
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
    <Tile title="Top swarms" size="s8" aside={aside}>
      {isReadable ? (
        <Loaded content={content} error={error}>
          {({ torrents, age_seconds: age }) =>
            torrents.length === 0 ? (
              <Hollow>
                {wanted === ""
                  ? "No torrents yet. A swarm appears with its first announce."
                  : "No torrent with this info hash has peers."}
              </Hollow>
            ) : (
              <>
                <div class="scroll tall">
                  <table class="swarms">
                    <thead>
                      <tr>
                        <th>Info hash</th>
                        <th class="n">Peers</th>
                        <th class="n roomy">Seeders</th>
                        <th class="n roomy">Leechers</th>
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
                            <button
                              type="button"
                              class="link"
                              onClick={() => setOpened(torrent)}
                              title="Peers"
                            >
                              <code>{torrent.info_hash}</code>
                            </button>
                          </td>
                          <td class="n">{formatCount(torrent.peers)}</td>
                          <td class="n roomy">{formatCount(torrent.seeders)}</td>
                          <td class="n roomy">{formatCount(torrent.leechers)}</td>
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
                <p class="note">
                  {torrents.length === shown ? `The first ${shown}, ` : ""}
                  counted {age < 1 ? "now" : `${formatDuration(age)} ago`}
                </p>
              </>
            )
          }
        </Loaded>
      ) : (
        <Hollow>An info hash has 40 hexadecimal digits. Type it, or its first digits.</Hollow>
      )}
      {opened !== undefined && <Peers torrent={opened} onClose={() => setOpened(undefined)} />}
      {question !== undefined && (
        <Confirm
          title={question.action === "remove" ? "Remove this torrent?" : "Ban this torrent?"}
          verb={question.action === "remove" ? "Remove" : "Ban"}
          onClose={() => setQuestion(undefined)}
          onConfirm={(form) => void change(question.torrent, question.action, form)}
        >
          <p>
            <code>{question.torrent.info_hash}</code>
          </p>
          {question.action === "remove" ? (
            <p>
              The tracker forgets its {formatCount(question.torrent.peers)} peers and its completed downloads.
              Clients that announce again come back.
            </p>
          ) : (
            <>
              <p>
                The tracker forgets its {formatCount(question.torrent.peers)} peers, and refuses further
                announces.
              </p>
              <BanFields />
            </>
          )}
        </Confirm>
      )}
    </Tile>
  );
}

/** What a ban says besides its target. */
export function BanFields() {
  return (
    <>
      <label>
        Until, or for how long
        <input name="until" placeholder="for ever; 24h; 2027-01-31T00:00:00Z" autocomplete="off" />
      </label>
      <label>
        Reason
        <input name="reason" maxLength={500} autocomplete="off" />
      </label>
    </>
  );
}
