/** Something that happened. */
export interface Entry {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly level: "info" | "warn" | "error";
  readonly text: string;
}

/** Lines of the tracker's log, the newest first. */
export interface LogLines {
  readonly lines: readonly {
    readonly time: string;
    readonly level: Entry["level"];
    readonly message: string;
    readonly fields: Readonly<Record<string, unknown>>;
  }[];
}

/** Joins the tracker's log with what the page itself has noticed, the newest first. */
export function joinLog(log: LogLines | undefined, own: readonly Entry[]): Entry[] {
  const lines = (log?.lines ?? []).map(({ time, level, message, fields }) => ({
    at: Date.parse(time),
    level,
    text: `${message}${describe(fields)}`,
  }));
  return [...lines, ...own].sort((a, b) => b.at - a.at);
}

function describe(fields: Readonly<Record<string, unknown>>): string {
  const shown = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return shown.length === 0 ? "" : `  ${shown.join("  ")}`;
}
