import type { LogFields } from "../../../observability/logger.ts";
import type { RecentLine } from "../../../observability/recent-log.ts";
import { integer, options } from "../../../options/index.ts";
import { type Endpoint, endpoint } from "../endpoint.ts";
import { list, map, object, type Shape, string } from "../shape.ts";

/** A line in a response. */
interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const lineShape: Shape<LogLine> = object({
  time: string("", { format: "date-time" }),
  level: string("", { enum: ["info", "warn", "error"] }),
  message: string(),
  fields: map(
    { json: {} },
    "What the line says besides. Who made a change from where needs the scope `admin`.",
  ),
});

export interface LogDeps {
  /** Returns the newest lines of the log, the oldest first. Absent if there are none. */
  readonly recentLines?: (() => readonly RecentLine[]) | undefined;
}

/** Creates `/log`. */
export function logEndpoints({ recentLines = () => [] }: LogDeps): Endpoint[] {
  return [
    endpoint({
      method: "GET",
      path: "/log",
      scope: "read",
      summary: "The newest lines of the log, changes by the API among them",
      query: options({
        limit: integer(1, 200).default("100").describe("The most lines."),
      }),
      response: object({ lines: list(lineShape, "The newest first.") }),
      handle({ query: { limit }, principal }) {
        const isWhole = principal.scopes.has("admin");
        const lines = recentLines().slice(-limit).reverse();
        return { lines: lines.map((line) => describe(line, isWhole)) };
      },
    }),
  ];
}

function describe({ time, level, message, fields }: RecentLine, isWhole: boolean): LogLine {
  const { from, ...shown } = fields;
  return {
    time: new Date(time).toISOString(),
    level,
    message,
    fields: readable(isWhole && from !== undefined ? { from, ...shown } : shown),
  };
}

/** Replaces errors by their messages. What JSON cannot write is left out. */
function readable(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? value.message : value]),
  );
}
