import type { Logger } from "../../observability/logger.ts";
import { Records, recordWords } from "../record.ts";
import type { RecordSource } from "../ring.ts";
import type { Journal } from "./journal.ts";

/** Maximum number of records in one block of the journal. */
const mostRecords = 8192;

/** The collaborators of an {@link Intake}. */
export interface IntakeDeps {
  journal: Journal;
  /** The sources of records. May change between two calls of {@link Intake.drain}. */
  sources: Iterable<RecordSource>;
  logger: Logger;
  /** Completes a record before it is written. */
  prepare(block: Records, index: number): void;
}

/** Takes the records of all sources, and writes them to the journal. */
export class Intake {
  /** The records of the last {@link drain}. */
  readonly block: Records = new Records(new ArrayBuffer(mostRecords * recordWords * 4), 0, mostRecords);
  /** Why the journal does not take records now; undefined if it does. */
  problem: string | undefined;
  readonly #deps: IntakeDeps;
  /** The records of each source that are in the block: prepared, but not on disk yet. */
  #taken: { source: RecordSource; count: number }[] | undefined;

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
  }

  /** Whether the records that were prepared are exactly those of the journal. */
  get isWritten(): boolean {
    return this.#taken === undefined;
  }

  /**
   * Takes the records that wait, and returns when they are on disk. If the disk does not take them, they stay in their sources, and
   * the next call writes them again; the workers refuse announces while a ring is full.
   * @returns the number of records that are on disk now
   */
  drain(): number {
    const { journal, logger } = this.#deps;
    this.#taken ??= this.#take();
    const count = this.#taken.reduce((sum, taken) => sum + taken.count, 0);
    try {
      if (count > 0) journal.write(this.block, count);
    } catch (error) {
      const problem = "announces cannot be written to the journal";
      if (this.problem === undefined) logger.error({ err: error }, problem);
      this.problem = `${problem}: ${(error as Error).message}`;
      return 0;
    }
    if (this.problem !== undefined) logger.info({}, "announces are written to the journal again");
    this.problem = undefined;
    for (const taken of this.#taken) taken.source.release(taken.count);
    this.#taken = undefined;
    return count;
  }

  #take(): { source: RecordSource; count: number }[] {
    let total = 0;
    const taken = [...this.#deps.sources].map((source) => {
      const count = source.copy(this.block, total, mostRecords - total);
      total += count;
      return { source, count };
    });
    for (let i = 0; i < total; i++) this.#deps.prepare(this.block, i);
    return taken;
  }
}
