import { legible } from "../../src/lib/legible.ts";
import { type Entry, joinLog, type LogLines } from "./log.ts";
import { useResource } from "./resource.ts";
import { Hollow, Tile } from "./tile.tsx";

/** The newest lines of the tracker's log, and what the page has noticed. */
export function Events({ own }: { readonly own: readonly Entry[] }) {
  const { content } = useResource<LogLines>("/log", 5);
  const entries = joinLog(content, own);
  return (
    <Tile title="Events" size="s8">
      {entries.length === 0 ? (
        <Hollow>Nothing yet. The log of the tracker appears here, and what you change on this page.</Hollow>
      ) : (
        <ol class="log scroll">
          {entries.map(({ at, level, text }, i) => (
            <li key={`${at} ${i}`} class={level}>
              <time>{formatTime(at)}</time>
              <span>{legible(text)}</span>
            </li>
          ))}
        </ol>
      )}
    </Tile>
  );
}

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short" });

/** Lines of other days have their day. */
function formatTime(at: number): string {
  const date = new Date(at);
  const isToday = new Date().toDateString() === date.toDateString();
  return isToday ? clock.format(date) : `${day.format(date)} ${clock.format(date)}`;
}
