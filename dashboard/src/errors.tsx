import { legible } from "../../src/lib/legible.ts";
import { formatCount, formatNumber } from "../../src/lib/quantities.ts";
import type { Stats } from "./api.ts";
import { Hollow, Tile } from "./tile.tsx";

interface Row {
  readonly kind: string;
  readonly text: string;
  readonly count: number;
}

/** Error responses and what got no response, by reason, the most frequent first. */
export function rowsOf({ errors, dropped, rejected, web }: Stats): Row[] {
  const refused = errors.map(({ protocol, error, count }) => ({ kind: protocol, text: error, count }));
  const silent = (by: Readonly<Record<string, number>>, kind: string) =>
    Object.entries(by)
      .filter(([, count]) => count > 0)
      .map(([text, count]) => ({ kind, text, count }));
  return [
    ...refused,
    ...silent(dropped, "udp dropped"),
    ...silent(rejected, "http rejected"),
    ...silent(web.refused, "websocket refused"),
    ...silent(web.rejected, "websocket rejected"),
  ].sort((a, b) => b.count - a.count || a.text.localeCompare(b.text));
}

/** @param before  the stats of about ten seconds ago */
export function Errors({
  stats,
  before,
}: {
  readonly stats: Stats | undefined;
  readonly before: Stats | undefined;
}) {
  const rows = stats === undefined ? [] : rowsOf(stats);
  const earlier = new Map((before === undefined ? [] : rowsOf(before)).map((row) => [keyOf(row), row.count]));
  const seconds =
    stats !== undefined && before !== undefined ? stats.uptime_seconds - before.uptime_seconds : 0;
  const most = rows[0]?.count ?? 1;
  return (
    <Tile title="Errors by reason" size="s4">
      {rows.length === 0 ? (
        <Hollow>
          {stats === undefined
            ? "Reading …"
            : "None since the start. Refused and dropped requests appear here."}
        </Hollow>
      ) : (
        <div class="scroll tall">
          <table>
            <thead>
              <tr>
                <th>Reason</th>
                <th>Kind</th>
                <th class="n">Now /s</th>
                <th class="n">Total</th>
              </tr>
            </thead>
            <tbody>
              {rows.slice(0, 40).map((row) => (
                <tr key={keyOf(row)}>
                  <td class="text">
                    <meter class="under" min={0} max={most} value={row.count} aria-hidden="true" />
                    {legible(row.text)}
                  </td>
                  <td class="muted">{row.kind}</td>
                  <td class="n">
                    {seconds > 0 ? formatNumber((row.count - (earlier.get(keyOf(row)) ?? 0)) / seconds) : "–"}
                  </td>
                  <td class="n" data-error={`${row.kind} ${row.text}`}>
                    {formatCount(row.count)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Tile>
  );
}

function keyOf({ kind, text }: Row): string {
  return `${kind}\n${text}`;
}
