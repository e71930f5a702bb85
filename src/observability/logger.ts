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

/** The same logger with fields that every line has. */
export function withFields(logger: Logger, common: LogFields): Logger {
  return {
    debug: (fields, message) => logger.debug({ ...common, ...fields }, message),
    info: (fields, message) => logger.info({ ...common, ...fields }, message),
    warn: (fields, message) => logger.warn({ ...common, ...fields }, message),
    error: (fields, message) => logger.error({ ...common, ...fields }, message),
  };
}
