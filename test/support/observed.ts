import type { FrontendDefinition } from "../../src/frontend/define-frontend.ts";
import type { Metrics } from "../../src/observability/metrics.ts";
import { type EndedRequest, type Observer, RequestReporter } from "../../src/observability/observer.ts";
import { ResponseMetrics } from "../../src/observability/response-metrics.ts";

/** Reports the requests of a frontend to its metrics, as a tracker has it, and to `observer`. */
export function reporterOf(
  { name, requests }: Pick<FrontendDefinition, "name" | "requests">,
  metrics: Metrics,
  observer?: Observer,
): RequestReporter {
  const responses = new ResponseMetrics(metrics, name, requests);
  responses.declare();
  const observers = observer === undefined ? [responses] : [responses, observer];
  return new RequestReporter(name, observers, (error) => {
    throw error;
  });
}

/** Remembers the requests that it sees. */
export class RecordingObserver implements Observer {
  readonly isTimed: boolean;
  began = 0;
  /** One line for each: frontend, action, family, code of the error, reason; `-` for what there is not. */
  readonly ended: string[] = [];
  readonly times: { startedMs: number; milliseconds: number }[] = [];

  constructor(isTimed = false) {
    this.isTimed = isTimed;
  }

  requestBegan(): void {
    this.began++;
  }

  requestEnded({ frontend, action, family, error, reason, startedMs, milliseconds }: EndedRequest): void {
    this.ended.push(`${frontend} ${action || "-"} ${family ?? "-"} ${error?.code ?? "-"} ${reason ?? "-"}`);
    this.times.push({ startedMs, milliseconds });
  }

  /** Returns the requests that have ended since the last call. @throws Error where another number has begun */
  take(): string[] {
    const ended = this.ended.splice(0);
    if (this.began !== ended.length) throw new Error(`${this.began} have begun, ${ended.length} have ended`);
    this.began = 0;
    return ended;
  }
}
