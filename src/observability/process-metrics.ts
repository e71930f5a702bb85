import { readdirSync, statSync } from "node:fs";
import { constants, PerformanceObserver } from "node:perf_hooks";
import { readDescriptorLimit } from "../net/descriptor-limit.ts";
import { EventLoopLag, type Lag } from "./event-loop-lag.ts";
import { EventLoopUse } from "./event-loop-utilization.ts";
import type { Histogram, Labels, Metrics } from "./metrics.ts";

const gcKinds: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"],
]);

/** Upper bounds in seconds. */
const gcBuckets = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1];

/**
 * Registers the metrics of the process, under the names of Prometheus' client libraries (`process_*`), of the build, and of
 * this thread. File descriptors are counted on Linux only.
 * @param lag  measures this thread
 * @returns a function that stops the measurements, also `lag`
 */
export function registerProcessMetrics(
  metrics: Metrics,
  version: string,
  lag: EventLoopLag = new EventLoopLag(),
): () => void {
  metrics.gauge("chihaya_build_info", "The version of the tracker and of Node.js", () => 1, {
    version,
    node: process.version,
  });
  registerProcess(metrics);
  return registerThreadMetrics(metrics, {}, lag);
}

/**
 * Registers the metrics of a thread, under the names of Prometheus' client libraries (`nodejs_*`): each thread has its own
 * heap and event loop.
 * @param labels  distinguish the threads whose metrics are merged
 * @param lag  measures this thread
 * @returns a function that stops the measurements, also `lag`
 */
export function registerThreadMetrics(
  metrics: Metrics,
  labels: Labels = {},
  lag: EventLoopLag = new EventLoopLag(),
): () => void {
  registerEventLoop(metrics, labels, lag);
  registerHeap(metrics, labels);
  const gc = observeGc(metrics, labels);
  return () => {
    lag.stop();
    gc.disconnect();
  };
}

function registerProcess(metrics: Metrics): void {
  let cpu = process.cpuUsage();
  metrics.beforeScrape(() => {
    cpu = process.cpuUsage();
  });
  const cpuMetrics = [
    ["process_cpu_user_seconds_total", "CPU time spent in user mode", () => cpu.user],
    ["process_cpu_system_seconds_total", "CPU time spent in the kernel", () => cpu.system],
    [
      "process_cpu_seconds_total",
      "CPU time spent in user mode and in the kernel",
      () => cpu.user + cpu.system,
    ],
  ] as const;
  for (const [name, help, microseconds] of cpuMetrics) {
    metrics.counterFrom(name, help, () => microseconds() / 1e6);
  }
  metrics.gauge("process_resident_memory_bytes", "Resident memory", () => process.memoryUsage.rss());
  const startTime = Date.now() / 1000 - process.uptime();
  metrics.gauge("process_start_time_seconds", "Start of the process, in seconds since 1970", () => startTime);
  if (process.platform !== "linux") return;
  metrics.gauge("process_open_fds", "Open file descriptors", countFileDescriptors);
  metrics.gauge("process_max_fds", "Limit of open file descriptors", readDescriptorLimit);
}

function registerEventLoop(metrics: Metrics, labels: Labels, monitor: EventLoopLag): void {
  let lag: Lag = { mean: 0, p50: 0, p99: 0, max: 0 };
  const use = new EventLoopUse();
  let utilization = 0;
  metrics.beforeScrape(() => {
    lag = monitor.read();
    utilization = use.read();
  });
  const when = "in the last minute";
  const gauges: [name: string, help: string, read: () => number][] = [
    ["lag_mean_seconds", "Mean delay of the event loop", () => lag.mean],
    ["lag_p50_seconds", "Median delay of the event loop", () => lag.p50],
    ["lag_p99_seconds", "99th percentile of the event loop's delay", () => lag.p99],
    ["lag_max_seconds", "Longest delay of the event loop", () => lag.max],
    ["utilization_ratio", "Share of time that the event loop was busy", () => utilization],
  ];
  for (const [name, help, read] of gauges) {
    metrics.gauge(`nodejs_eventloop_${name}`, `${help} ${when}`, read, labels);
  }
}

function registerHeap(metrics: Metrics, labels: Labels): void {
  let memory = process.memoryUsage();
  metrics.beforeScrape(() => {
    memory = process.memoryUsage();
  });
  metrics.gauge("nodejs_heap_size_total_bytes", "JavaScript heap reserved", () => memory.heapTotal, labels);
  metrics.gauge("nodejs_heap_size_used_bytes", "JavaScript heap in use", () => memory.heapUsed, labels);
  metrics.gauge(
    "nodejs_external_memory_bytes",
    "Memory outside the heap that belongs to it, without shared memory",
    () => memory.external,
    labels,
  );
}

function observeGc(metrics: Metrics, labels: Labels): PerformanceObserver {
  const histograms = new Map<number, Histogram>();
  for (const [kind, label] of gcKinds) {
    const help = "Duration of garbage collections of Node.js";
    histograms.set(
      kind,
      metrics.histogram("nodejs_gc_duration_seconds", help, gcBuckets, { ...labels, kind: label }),
    );
  }
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { detail } = entry as unknown as { detail: { kind: number } }; // missing in the types
      histograms.get(detail.kind)?.observe(entry.duration / 1000);
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  return observer;
}

/** Counts open file descriptors. Linux 6.2 and later return the number as the size of the directory; older ones need a listing. */
function countFileDescriptors(): number {
  return statSync("/proc/self/fd").size || readdirSync("/proc/self/fd").length - 1;
}
