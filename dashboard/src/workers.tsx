import { legible } from "../../src/lib/legible.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMilliseconds,
  formatShare,
} from "../../src/lib/quantities.ts";
import { useResource } from "./resource.ts";
import { Loaded, Tile } from "./tile.tsx";

interface Workers {
  readonly workers: readonly {
    readonly worker: number;
    readonly state: string;
    readonly components: Readonly<Record<string, string>>;
    readonly cpu: number | null;
    readonly utilization: number | null;
    readonly loop_lag_ms: number | null;
    readonly heap_bytes: number | null;
    readonly restarts: number;
    readonly uptime_seconds: number | null;
  }[];
}

/** The threads that serve clients. */
export function Workers() {
  const { content, error } = useResource<Workers>("/workers", 5);
  return (
    <Tile title="Workers" size="s4">
      <Loaded content={content} error={error}>
        {({ workers }) => (
          <div class="scroll">
            <table>
              <thead>
                <tr>
                  <th>Worker</th>
                  <th class="n">CPU</th>
                  <th class="n" title="99th percentile of the delay of the event loop">
                    Lag p99
                  </th>
                  <th class="n">Heap</th>
                  <th class="n">Up</th>
                  <th class="n" title="How often the worker died and was replaced">
                    Restarts
                  </th>
                </tr>
              </thead>
              <tbody>
                {workers.map((worker) => (
                  <tr key={worker.worker}>
                    <td class="text">
                      {worker.worker} <Condition state={worker.state} components={worker.components} />
                    </td>
                    <td class="n">{formatShare(worker.cpu ?? worker.utilization)}</td>
                    <td class="n">{formatMilliseconds(worker.loop_lag_ms)}</td>
                    <td class="n">{formatBytes(worker.heap_bytes)}</td>
                    <td class="n">{formatDuration(worker.uptime_seconds)}</td>
                    <td class="n">{worker.restarts > 0 ? <em>{formatCount(worker.restarts)}</em> : "0"}</td>
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

function Condition(props: { readonly state: string; readonly components: Readonly<Record<string, string>> }) {
  const { state, components } = props;
  if (state !== "serving") return <em>{legible(state)}</em>;
  const failing = Object.entries(components).filter(([, component]) => component !== "ready");
  if (failing.length === 0) return <span class="muted">serving</span>;
  return <em>{legible(failing.map(([name, component]) => `${name}: ${component}`).join(", "))}</em>;
}
