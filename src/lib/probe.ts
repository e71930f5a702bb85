import type { Clock } from "./clock.ts";

/** Something outside of the tracker that its options name, such as a URL or a server. */
export interface Probe {
  /** Its name in the output: a path, or a URL without secrets. */
  readonly name: string;
  /**
   * Tries whether the tracker can use it, without changing anything.
   * @param signal  aborted when it takes too long
   * @returns a note about what was found: `3 keys`
   * @throws Error with the reason why it cannot be used
   */
  run(signal: AbortSignal): Promise<string>;
}

/** The collaborators of probes. */
export interface ProbeDeps {
  readonly clock: Clock;
}
