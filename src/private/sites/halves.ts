/** Rows of one statement, at most; more rows make it no faster. */
const mostRows = 1000;

/** A write of many rows. */
export interface HalvingWrite<Row> {
  /** Makes a statement of some of the rows at once, and runs it. After an error the transaction must be as before the statement. */
  write(part: readonly Row[]): Promise<unknown>;
  /** Whether a write failed because of one of its rows. */
  isRowError(error: unknown): boolean;
  /** Deals with the rows of a failed write whose mistake can be found by a query. @returns the other rows */
  sift?(part: readonly Row[]): Promise<readonly Row[]>;
  /** Called for each row that the database does not take. */
  refused(row: Row, reason: string): void;
  /** Whether a statement may wait for the end of the one before at the connection. It is made while the one before runs. */
  isQueued?: boolean;
}

/** Writes rows, a thousand at a time. If a write fails because of a row, each half of its rows is tried, so one bad row stops no other. */
export function writeInHalves<Row>(rows: readonly Row[], deps: HalvingWrite<Row>): Promise<void> {
  const write = (part: readonly Row[]) => writePart(part, deps);
  return deps.isQueued ? writeAhead(rows, write) : writeInParts(rows, write);
}

/** Writes rows, a thousand at a time. */
export async function writeInParts<Row>(
  rows: readonly Row[],
  write: (part: readonly Row[]) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < rows.length; at += mostRows) await write(rows.slice(at, at + mostRows));
}

/** Writes rows, a thousand at a time, and begins each write while the one before runs. No write runs any more at the end. */
async function writeAhead<Row>(
  rows: readonly Row[],
  write: (part: readonly Row[]) => Promise<void>,
): Promise<void> {
  let last: Promise<void> | undefined;
  await writeInParts(rows, async (part) => {
    const before = last;
    last = write(part);
    last.catch(() => undefined);
    await before;
  }).finally(() => last?.catch(() => undefined));
  await last;
}

async function writePart<Row>(rows: readonly Row[], deps: HalvingWrite<Row>): Promise<void> {
  try {
    await deps.write(rows);
  } catch (error) {
    if (!deps.isRowError(error)) throw error;
    if (deps.sift !== undefined) {
      const { sift, ...others } = deps;
      const rest = await sift(rows);
      return rest.length > 0 ? writePart(rest, others) : undefined;
    }
    if (rows.length === 1) return deps.refused(rows[0]!, (error as Error).message);
    const half = rows.length >> 1;
    await writePart(rows.slice(0, half), deps);
    await writePart(rows.slice(half), deps);
  }
}
