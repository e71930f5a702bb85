/** What a log line says besides its message. Errors go under `err`. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Where a component says what an operator should know. Never called per request; never with addresses or
 * passkeys above debug.
 */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** Says nothing: what library code logs to unless it is given something else. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
};
