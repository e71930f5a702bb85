import { pino } from "pino";
import { escapeUnits, unprintable } from "../lib/legible.ts";
import { type LogFormat, type LogTarget, type Priority, withPriority } from "./log-target.ts";
import type { Logger } from "./logger.ts";

/** The logging flags of the command line. */
export interface LoggingOptions {
  /** Whether debug lines are written. */
  debug: boolean;
  format: LogFormat;
  /** Whether text has colours, if standard error is a terminal. */
  colors: boolean;
}

/** Receives lines, each with its line feed. Must not throw. */
export interface LogDestination {
  write(line: string): void;
}

/** Escapes characters that JSON allows but that drive terminals or reorder text. Leaves the logger's own colours and line feeds. */
function escapeBeyondJson(line: string): string {
  return line.replace(unprintable, (found) => (found < " " ? found : escapeUnits(found)));
}

/**
 * Creates the logger of a process. Control characters are escaped, also in errors and their causes, so that logged text
 * cannot forge lines or drive a terminal.
 */
export async function createLogger(
  options: LoggingOptions,
  out: LogDestination,
  target: LogTarget,
): Promise<Logger> {
  const isText =
    options.format === "auto" ? target.isTerminal || target.isJournal : options.format === "pretty";
  const format = isText ? await loadFormat(options.colors && target.isTerminal, target.isJournal) : undefined;
  const write = (line: string): void => {
    const text = escapeBeyondJson(format ? format(line) : line);
    const level = target.isJournal ? /^\{"level":"(\w+)"/.exec(line)?.[1] : undefined;
    out.write(level === undefined ? text : withPriority(text, level as Priority));
  };
  const logger: Logger = pino(
    {
      level: options.debug ? "debug" : "info",
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (error) => describeError(error, 0) },
    },
    { write },
  );
  return logger;
}

/** Loads the formatter that turns JSON lines into text. @param isTimed  whether the reader notes the times itself */
async function loadFormat(colorize: boolean, isTimed: boolean): Promise<(line: string) => string> {
  const { default: pretty } = await import("pino-pretty");
  return pretty.prettyFactory({
    colorize,
    singleLine: true,
    ...(isTimed && { ignore: "time" }),
    translateTime: "SYS:yyyy-mm-dd HH:MM:ss.l",
    // pino-pretty writes fields as JSON, but does not escape the message.
    messageFormat: (log, key) => String(log[key] ?? "").replace(/[\u0000-\u001f]/g, escapeUnits),
  });
}

/** Converts an error to fields. The stack omits the message, which could forge lines of the stack. */
function describeError(error: unknown, depth: number): unknown {
  if (!(error instanceof Error)) return error;
  const stack = error.stack ?? "";
  const frames = stack.slice(Math.max(0, stack.indexOf(error.message)) + error.message.length).split("\n");
  return {
    type: error.name,
    message: error.message,
    code: (error as { code?: unknown }).code,
    stack: frames
      .map((frame) => frame.trim())
      .filter((frame) => frame.startsWith("at "))
      .join("\n"),
    cause: depth < 4 ? describeError(error.cause, depth + 1) : undefined,
  };
}
