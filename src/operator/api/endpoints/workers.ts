import { type ComponentState, describeState } from "../../health.ts";
import { type Endpoint, endpoint } from "../endpoint.ts";
import type { Sampler } from "../sampler.ts";
import { count, list, map, nullable, number, object, type Shape, string } from "../shape.ts";
import type { Totals } from "../totals.ts";

/** A thread that serves clients, as the process sees it. */
export interface WorkerState {
  /** From 1; a replacement has the number of the thread that died. */
  readonly number: number;
  readonly state: "serving" | "starting" | "unresponsive";
  readonly components: Readonly<Record<string, ComponentState>>;
  /** The share of a core that the thread uses; undefined if the system does not say. */
  readonly cpu?: number | undefined;
  readonly uptimeSeconds?: number | undefined;
  readonly restarts: number;
}

/** A worker in a response. Null is unknown. */
interface WorkerReply {
  readonly worker: number;
  readonly state: string;
  readonly components: Readonly<Record<string, string>>;
  readonly cpu: number | null;
  readonly utilization: number | null;
  readonly loop_lag_ms: number | null;
  readonly loop_lag_max_ms: number | null;
  readonly heap_bytes: number | null;
  readonly restarts: number;
  readonly uptime_seconds: number | null;
}

const workerShape: Shape<WorkerReply> = object({
  worker: count("From 1; a replacement has the number of the thread that died."),
  state: string("", { enum: ["serving", "starting", "unresponsive"] }),
  components: map(string(), "`ready`, or why the part is not, by the names of the parts."),
  cpu: nullable(number("The share of a core that the thread used since the last request.")),
  utilization: nullable(
    number("The share of time that the event loop was busy since the last scrape of the metrics."),
  ),
  loop_lag_ms: nullable(number("99th percentile of the event loop's delay in the last minute.")),
  loop_lag_max_ms: nullable(number("Longest delay of the event loop in the last minute.")),
  heap_bytes: nullable(count("JavaScript heap in use.")),
  restarts: count("How often the thread has died and was replaced."),
  uptime_seconds: nullable(number("Since the start of the thread.")),
});

export interface WorkerDeps {
  readonly sampler: Sampler;
  /** Asks all threads that serve clients. */
  describeWorkers(): Promise<readonly WorkerState[]>;
}

/** Creates `/workers`. */
export function workerEndpoints({ sampler, describeWorkers }: WorkerDeps): Endpoint[] {
  return [
    endpoint({
      method: "GET",
      path: "/workers",
      scope: "read",
      summary: "The threads that serve clients",
      response: object({ workers: list(workerShape) }),
      async handle() {
        const [totals, workers] = await Promise.all([sampler.read(), describeWorkers()]);
        const isAlone = workers.length === 1;
        return { workers: workers.map((worker) => describe(worker, totals, isAlone)) };
      },
    }),
  ];
}

function describe(worker: WorkerState, totals: Totals, isAlone: boolean): WorkerReply {
  const { number, state, components, cpu = null, uptimeSeconds = null, restarts } = worker;
  // The series of a thread have its number, unless it is the only thread.
  const labels: Record<string, string> = isAlone ? {} : { worker: `${number}` };
  const gauge = (name: string) => totals.gauge(name, labels) ?? null;
  const milliseconds = (seconds: number | null) => seconds && seconds * 1000;
  return {
    worker: number,
    state,
    components: Object.fromEntries(
      Object.entries(components).map(([name, component]) => [name, describeState(component)]),
    ),
    cpu,
    utilization: gauge("nodejs_eventloop_utilization_ratio"),
    loop_lag_ms: milliseconds(gauge("nodejs_eventloop_lag_p99_seconds")),
    loop_lag_max_ms: milliseconds(gauge("nodejs_eventloop_lag_max_seconds")),
    heap_bytes: gauge("nodejs_heap_size_used_bytes"),
    restarts,
    uptime_seconds: uptimeSeconds,
  };
}
