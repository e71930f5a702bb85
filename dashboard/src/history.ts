import type { Series } from "./api.ts";

/** The values of a window, as a chart takes them. */
export interface Columns {
  /** Seconds since 1970, ascending. */
  readonly times: readonly number[];
  readonly series: Readonly<Record<string, readonly (number | null)[]>>;
}

export const noColumns: Columns = { times: [], series: {} };

/** Gives every value its time. */
export function toColumns({ step, end, series }: Series): Columns {
  const length = Object.values(series)[0]?.length ?? 0;
  const times = Array.from({ length }, (_, i) => end - (length - 1 - i) * step);
  return { times, series };
}

/** Adds the newest second, and forgets what is older than the window. */
export function append({ times, series }: Columns, sample: Series, seconds: number): Columns {
  if ((times.at(-1) ?? 0) >= sample.end) return { times, series };
  const from = times.findIndex((time) => time > sample.end - seconds);
  const keep = from < 0 ? times.length : from;
  const add = <T>(values: readonly T[], value: T): readonly T[] => [...values.slice(keep), value];
  return {
    times: add(times, sample.end),
    series: Object.fromEntries(
      Object.entries(sample.series).map(([name, [value = null]]) => {
        const before = series[name] ?? new Array<null>(times.length).fill(null);
        return [name, add(before, value)];
      }),
    ),
  };
}

/** Adds the seconds that have come one by one behind a history that was read meanwhile. */
export function extend(history: Columns, live: Columns): Columns {
  const end = history.times.at(-1) ?? 0;
  const first = live.times.findIndex((time) => time > end);
  if (first < 0) return history;
  const times = live.times.slice(first);
  const unknown = new Array<null>(times.length).fill(null);
  return {
    times: [...history.times, ...times],
    series: Object.fromEntries(
      Object.entries(history.series).map(([name, values]) => [
        name,
        [...values, ...(live.series[name]?.slice(first) ?? unknown)],
      ]),
    ),
  };
}

/** Returns the newest value that is known. */
export function newest(values: readonly (number | null)[] = []): number | null {
  return values.findLast((value) => value !== null) ?? null;
}

/** Adds series up; what is unknown in one of them counts as 0, unless it is unknown in all. */
export function sum(...all: readonly (readonly (number | null)[] | undefined)[]): (number | null)[] {
  const [first = []] = all.filter((one) => one !== undefined);
  return first.map((_, i) => {
    const known = all.map((one) => one?.[i] ?? null).filter((value) => value !== null);
    return known.length === 0 ? null : known.reduce((total, value) => total + value, 0);
  });
}

/**
 * Returns the seconds until a share of 1 reaches 1 at its mean pace; undefined if the share falls, stays, or rises too
 * slowly to matter within 30 days.
 */
export function secondsUntilFull({ times, series }: Columns): number | undefined {
  const known = times.flatMap((time, i) => {
    const value = series.store_fill?.[i] ?? null;
    return value === null ? [] : [{ time, value }];
  });
  const first = known[0];
  const last = known.at(-1);
  if (first === undefined || last === undefined || last.time - first.time < 60) return undefined;
  const pace = (last.value - first.value) / (last.time - first.time);
  if (pace <= 0) return undefined;
  const left = (1 - last.value) / pace;
  return left < 30 * 86_400 ? left : undefined;
}
