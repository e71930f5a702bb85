/** Rows of one statement, at most; more rows make it no faster. */
const mostRows = 1000;

/** A write of many rows. */
export interface HalvingWrite<Row> {
  /** Writes some of the rows. After an error the transaction must be as before. */
  write(part: readonly Row[]): Promise<unknown>;
  /** Whether a write failed because of one of its rows. */
  isRowError(error: unknown): boolean;
  /** Called for each row that the database does not take. */
  refused(row: Row, reason: string): void;
}

/** Writes rows, a thousand at a time. If a write fails because of a row, each half of its rows is tried, so one bad row stops no other. */
export async function writeInHalves<Row>(rows: readonly Row[], deps: HalvingWrite<Row>): Promise<void> {
  for (let at = 0; at < rows.length; at += mostRows) await writePart(rows.slice(at, at + mostRows), deps);
}

async function writePart<Row>(rows: readonly Row[], deps: HalvingWrite<Row>): Promise<void> {
  try {
    await deps.write(rows);
  } catch (error) {
    if (!deps.isRowError(error)) throw error;
    if (rows.length === 1) return deps.refused(rows[0]!, (error as Error).message);
    const half = rows.length >> 1;
    await writePart(rows.slice(0, half), deps);
    await writePart(rows.slice(half), deps);
  }
}
