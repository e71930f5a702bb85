import type { Path } from "./value.ts";

/** Where the checks of a configuration report to. */
export interface CheckReport {
  /** Milliseconds since 1970. */
  readonly now: number;
  error(path: Path, message: string): void;
  warning(path: Path, message: string): void;
  /** Whether all of these values could be read. What is said about the others would be a guess. */
  sound(...paths: Path[]): boolean;
}

/** Makes a report in which paths begin at `base`. */
export function reportBelow(base: Path, report: CheckReport): CheckReport {
  return {
    now: report.now,
    error: (path, message) => report.error([...base, ...path], message),
    warning: (path, message) => report.warning([...base, ...path], message),
    sound: (...paths) => report.sound(...paths.map((path) => [...base, ...path])),
  };
}
