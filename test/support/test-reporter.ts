/**
 * The reporter of one test file. Prints the output of the reporter "spec" without its totals, and appends each
 * {@link TestRecord} as a line to the file CHIHAYA_TEST_RECORDS.
 */
import { appendFileSync } from "node:fs";
import { Readable } from "node:stream";
import { spec } from "node:test/reporters";

/** One step of a test; records are in the order of the steps. */
export interface TestRecord {
  step: "started" | "over" | "passed" | "skipped" | "failed";
  name: string;
  /** False for a suite, and for a test that failed only because a subtest failed. */
  counts: boolean;
  /** Its place in the file, `line:column`. */
  at: string;
}

interface TestEvent {
  type: string;
  data: {
    name: string;
    line?: number;
    column?: number;
    message?: string;
    skip?: unknown;
    todo?: unknown;
    details?: { type?: string; error?: { failureType?: string } };
  };
}

const totals = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

async function* record(events: AsyncIterable<TestEvent>): AsyncGenerator<TestEvent> {
  const file = process.env.CHIHAYA_TEST_RECORDS!;
  for await (const event of events) {
    const step = stepOf(event);
    if (step !== undefined) {
      const { name, line, column, details } = event.data;
      const counts = details?.type !== "suite";
      const entry: TestRecord = { step, name, counts, at: `${line}:${column}` };
      appendFileSync(file, `${JSON.stringify(entry)}\n`);
    }
    if (event.type !== "test:diagnostic" || !totals.test(event.data.message ?? "")) yield event;
  }
}

function stepOf({ type, data }: TestEvent): TestRecord["step"] | undefined {
  switch (type) {
    case "test:dequeue":
      return "started";
    case "test:complete":
      return "over";
    case "test:pass":
    case "test:fail":
      if (data.skip !== undefined || data.todo !== undefined) return "skipped";
      return type === "test:pass" ? "passed" : "failed";
    default:
      return undefined;
  }
}

// biome-ignore lint/style/noDefaultExport: node:test wants it so
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  yield* Readable.from(record(events)).compose(new spec());
}
