/** The memory that the accountant shares with all workers. */
export interface AccountingMemory {
  /** One for each worker, in the order of their numbers from 1. */
  readonly rings: readonly SharedArrayBuffer[];
  readonly signal: SharedArrayBuffer;
}

/** The part of one worker. */
export interface WorkerAccounting {
  readonly ring: SharedArrayBuffer;
  readonly signal: SharedArrayBuffer;
}
