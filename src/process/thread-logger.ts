import { inspect } from "node:util";
import type { Logger } from "../observability/logger.ts";
import { BusError } from "./bus.ts";
import type { LogLine } from "./services.ts";

/**
 * Creates a logger that sends its lines to another thread, and never throws. Fields that cannot be cloned are sent as text.
 * @param send  sends one line by the bus; a line that the bus refuses is dropped
 * @param onDropped  called for each dropped line
 */
export function createThreadLogger(send: (line: LogLine) => void, onDropped: () => void): Logger {
  const trySend = (line: LogLine): boolean => {
    try {
      send(line);
      return true;
    } catch (error) {
      if (!(error instanceof BusError)) return false;
      onDropped();
      return true;
    }
  };
  const log = (line: LogLine): void => {
    if (!trySend(line)) trySend({ ...line, fields: { text: inspect(line.fields) } });
  };
  return {
    debug: (fields, message) => log({ level: "debug", fields, message }),
    info: (fields, message) => log({ level: "info", fields, message }),
    warn: (fields, message) => log({ level: "warn", fields, message }),
    error: (fields, message) => log({ level: "error", fields, message }),
  };
}
