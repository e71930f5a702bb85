/** A thread that requests `/livez` ten times per second, while the load blocks the main thread. */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

export interface ProbeResult {
  answers: number;
  failures: number;
  /** Duration of the slowest request in milliseconds. */
  slowestMs: number;
}

const everyMs = 100;
const timeoutMs = 5000;

/** Starts a probe, which runs until `stop` is called. */
export function startProbe(url: string): { stop(): Promise<ProbeResult> } {
  const worker = new Worker(import.meta.filename, { workerData: url });
  return {
    stop() {
      const result = new Promise<ProbeResult>((resolve) => worker.once("message", resolve));
      worker.postMessage("stop");
      return result;
    },
  };
}

if (!isMainThread && parentPort !== null) {
  const result: ProbeResult = { answers: 0, failures: 0, slowestMs: 0 };
  const timer = setInterval(async () => {
    const started = performance.now();
    try {
      const response = await fetch(workerData as string, { signal: AbortSignal.timeout(timeoutMs) });
      if (response.ok) result.answers++;
      else result.failures++;
    } catch {
      result.failures++;
    }
    result.slowestMs = Math.max(result.slowestMs, performance.now() - started);
  }, everyMs);
  parentPort.once("message", () => {
    clearInterval(timer);
    parentPort!.postMessage(result);
  });
}
