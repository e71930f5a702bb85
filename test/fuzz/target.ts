/** Something that takes any input and must come through. */
export interface FuzzTarget {
  readonly name: string;
  /** Cases that have been run. */
  readonly count: number;
  /** The input of the last case. */
  input(): Uint8Array;
  /** Runs `cases` more; throws what is wrong with the last one. */
  run(cases: number): Promise<void>;
  /** Checks what must hold between cases; throws what is wrong. */
  check(): void;
  /** Ends it, at the latest when `deadline` is aborted. */
  stop(deadline: AbortSignal): Promise<void>;
}

/** Throws where `condition` does not hold; `message` is made only then. */
export function ensure(condition: boolean, message: () => string): void {
  if (!condition) throw new Error(message());
}
