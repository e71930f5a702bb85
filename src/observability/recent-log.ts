import type { LogFields, Logger } from "./logger.ts";

/** A line of the log that is kept. */
export interface RecentLine {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly level: "info" | "warn" | "error";
  readonly message: string;
  readonly fields: LogFields;
}

/** Lines that are kept. The log is for operators and has no line per request, so this is some time. */
const maxLines = 200;

/** A logger that also keeps its newest lines, except those of the level debug, for the admin API. */
export class RecentLog implements Logger {
  readonly #inner: Logger;
  readonly #now: () => number;
  readonly #lines: RecentLine[] = [];

  /** @param now  milliseconds since 1970 */
  constructor(inner: Logger, now: () => number = Date.now) {
    this.#inner = inner;
    this.#now = now;
  }

  /** The lines, the oldest first. */
  get lines(): readonly RecentLine[] {
    return this.#lines;
  }

  debug(fields: LogFields, message: string): void {
    this.#inner.debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#keep("info", fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#keep("warn", fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#keep("error", fields, message);
  }

  #keep(level: RecentLine["level"], fields: LogFields, message: string): void {
    this.#inner[level](fields, message);
    if (this.#lines.length === maxLines) this.#lines.shift();
    this.#lines.push({ time: this.#now(), level, message, fields });
  }
}
