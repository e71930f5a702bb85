import type { Clock } from "../lib/clock.ts";
import type { Counter, Metrics } from "../observability/metrics.ts";

/** Counts reloads, and tells which configuration runs. The start counts as a successful reload, but is in no counter. */
export class ConfigMetrics {
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #reloads: Record<"applied" | "refused", Counter>;
  #hasSucceeded = true;
  #lastSuccess: number;
  #needsRestart = 0;
  #withdrawHash: () => void;

  /** @param hash  of the configuration that the process starts with */
  constructor(metrics: Metrics, clock: Clock, hash: string) {
    this.#metrics = metrics;
    this.#clock = clock;
    const count = (result: string) =>
      metrics.counter("chihaya_config_reloads_total", "Reloads of the configuration, by result", { result });
    this.#reloads = { applied: count("applied"), refused: count("refused") };
    this.#lastSuccess = clock.unixSeconds;
    metrics.gauge(
      "chihaya_config_last_reload_successful",
      "Whether the last reload of the configuration succeeded: 1 or 0",
      () => (this.#hasSucceeded ? 1 : 0),
    );
    metrics.gauge(
      "chihaya_config_last_reload_success_timestamp_seconds",
      "Time at which the configuration was last read and applied, in seconds since 1970",
      () => this.#lastSuccess,
    );
    metrics.gauge(
      "chihaya_config_needs_restart_options",
      "Options of the configuration that take effect only after a restart",
      () => this.#needsRestart,
    );
    this.#withdrawHash = this.#showHash(hash);
  }

  /** @param needsRestart  number of options that keep their old values until a restart */
  applied(hash: string, needsRestart: number): void {
    this.#reloads.applied.inc();
    this.#hasSucceeded = true;
    this.#lastSuccess = this.#clock.unixSeconds;
    this.#needsRestart = needsRestart;
    this.#withdrawHash();
    this.#withdrawHash = this.#showHash(hash);
  }

  refused(): void {
    this.#reloads.refused.inc();
    this.#hasSucceeded = false;
  }

  #showHash(hash: string): () => void {
    const help = "The hash of the configuration that was last applied";
    return this.#metrics.gauge("chihaya_config_info", help, () => 1, { hash });
  }
}
