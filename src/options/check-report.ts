import type { Path } from "./value.ts";

/** Receives the errors and warnings of the checks of a configuration. */
export interface CheckReport {
  /** Milliseconds since 1970. */
  readonly now: number;
  error(path: Path, message: string): void;
  warning(path: Path, message: string): void;
  /** Whether all of these values could be read. A check of a value that could not be read would only guess. */
  isReadable(...paths: Path[]): boolean;
}

/** Creates a report whose paths begin at `base`. */
export function reportBelow(base: Path, report: CheckReport): CheckReport {
  return {
    now: report.now,
    error: (path, message) => report.error([...base, ...path], message),
    warning: (path, message) => report.warning([...base, ...path], message),
    isReadable: (...paths) => report.isReadable(...paths.map((path) => [...base, ...path])),
  };
}
