import { formatCount, formatDuration, formatMilliseconds, formatNumber } from "../../src/lib/quantities.ts";
import { useResource } from "./resource.ts";
import { Loaded, Tile } from "./tile.tsx";

interface Workers {
  readonly workers: readonly {
    readonly worker: number;
    readonly cpu?: number | null;
    readonly loop_lag_ms?: number | null;
    readonly restarts?: number;
    readonly uptime_seconds?: number | null;
  }[];
}

/** The threads that serve clients. */
export function Workers() {
  const { content, error } = useResource<Workers>("/workers", 5);
  return (
    <Tile title="Workers" size="s6">
      <Loaded content={content} error={error}>
        {({ workers }) => (
          <div class="scroll">
            <table>
              <thead>
                <tr>
                  <th>Worker</th>
                  <th class="n">CPU</th>
                  <th class="n">Loop lag</th>
                  <th class="n">Restarts</th>
                  <th class="n">Up</th>
                </tr>
              </thead>
              <tbody>
                {workers.map((worker) => (
                  <tr key={worker.worker}>
                    <td>{worker.worker}</td>
                    <td class="n">{formatNumber(worker.cpu)}</td>
                    <td class="n">{formatMilliseconds(worker.loop_lag_ms)}</td>
                    <td class="n">{formatCount(worker.restarts)}</td>
                    <td class="n">{formatDuration(worker.uptime_seconds)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Tile>
  );
}
