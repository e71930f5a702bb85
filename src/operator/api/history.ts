/** The series that the history keeps: what a dashboard draws. Rates are per second. */
export const seriesNames = [
  "udp_announces",
  "udp_scrapes",
  "udp_connects",
  "http_announces",
  "http_scrapes",
  "websocket_announces",
  "websocket_scrapes",
  "web_offers",
  "web_answers",
  "errors",
  "dropped",
  "torrents",
  "seeders",
  "leechers",
  "peers_ipv4",
  "peers_ipv6",
  "peers_web",
  "store_fill",
  "http_connections",
  "latency_p50_ms",
  "latency_p99_ms",
  "cpu",
  "memory_bytes",
  "loop_lag_ms",
] as const;
export type SeriesName = (typeof seriesNames)[number];
/** One value a series; NaN for unknown. */
export type Sample = Readonly<Record<SeriesName, number>>;

/** The rings: seconds a step, and steps. 10 minutes, 6 hours, 7 days. */
const rings = [
  { step: 1, count: 600 },
  { step: 10, count: 2160 },
  { step: 300, count: 2016 },
] as const;

/**
 * Keeps samples of the last week in fixed memory (500 KB): each second of the last ten minutes, each ten seconds of the
 * last six hours, each five minutes of the last seven days. A coarse step is the mean of the finer ones.
 */
export class History {
  readonly #rings: readonly Ring[] = rings.map(({ step, count }) => new Ring(step, count));
  /** The second after the newest sample. */
  #next: number | undefined;

  /**
   * Adds the mean of the seconds after `since` up to `now`: whole seconds of a clock that never goes back. Time that has a
   * sample already keeps the sample.
   */
  add(sample: Sample, since: number, now: number): void {
    const from = Math.max(this.#next ?? 0, since + 1, now - rings[0].count + 1);
    for (let second = from; second <= now; second++) {
      for (const ring of this.#rings) ring.add(sample, second);
    }
    this.#next = Math.max(now + 1, this.#next ?? 0);
  }

  /**
   * Reads the newest steps.
   * @param window  seconds
   * @param step    seconds; the finest ring whose step is at least this long, and which reaches that far back
   * @returns the oldest step first; null for unknown
   */
  read(
    window: number,
    step: number,
    names: readonly SeriesName[] = seriesNames,
  ): { step: number; series: Record<string, (number | null)[]> } {
    const ring =
      this.#rings.find((one) => one.step >= step && one.step * one.count >= window) ?? this.#rings.at(-1)!;
    const steps = Math.min(ring.count, Math.max(1, Math.ceil(window / ring.step)));
    const last = Math.floor(((this.#next ?? 1) - 1) / ring.step);
    return {
      step: ring.step,
      series: Object.fromEntries(
        names.map((name) => [name, ring.read(seriesNames.indexOf(name), last, steps)]),
      ),
    };
  }

  /** Returns the mean of a series over the last seconds; undefined if nothing is known. */
  mean(name: SeriesName, seconds: number): number | undefined {
    const { series } = this.read(seconds, seconds > rings[0].count ? rings[1].step : rings[0].step, [name]);
    const known = series[name]!.filter((value) => value !== null);
    return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0) / known.length;
  }
}

class Ring {
  readonly step: number;
  readonly count: number;
  readonly #values: Float32Array;
  /** Samples in each step, by which the means are weighted. */
  readonly #weights: Uint16Array;
  /** The number of the step that each slot holds. */
  readonly #steps: Float64Array;

  constructor(step: number, count: number) {
    this.step = step;
    this.count = count;
    this.#values = new Float32Array(count * seriesNames.length).fill(Number.NaN);
    this.#weights = new Uint16Array(count);
    this.#steps = new Float64Array(count).fill(-1);
  }

  add(sample: Sample, second: number): void {
    const number = Math.floor(second / this.step);
    const slot = number % this.count;
    if (this.#steps[slot] !== number) {
      this.#steps[slot] = number;
      this.#weights[slot] = 0;
    }
    const weight = this.#weights[slot]!;
    for (const [i, name] of seriesNames.entries()) {
      const at = slot * seriesNames.length + i;
      const before = this.#values[at]!;
      const value = sample[name];
      this.#values[at] =
        weight === 0 || Number.isNaN(before)
          ? value
          : Number.isNaN(value)
            ? before
            : before + (value - before) / (weight + 1);
    }
    this.#weights[slot] = weight + 1;
  }

  read(series: number, last: number, steps: number): (number | null)[] {
    return Array.from({ length: steps }, (_, i) => {
      const number = last - steps + 1 + i;
      const slot = ((number % this.count) + this.count) % this.count;
      if (this.#steps[slot] !== number) return null;
      const value = this.#values[slot * seriesNames.length + series]!;
      return Number.isNaN(value) ? null : value;
    });
  }
}
