/** Flags, arguments and error messages that the commands for clients of a tracker share. */
import { longInfoHashRemedy, parseInfoHash } from "../bittorrent/info-hash.ts";
import type { ClientOptions } from "../client/tracker-client.ts";
import { TrackerError } from "../client/tracker-error.ts";
import { parseDuration } from "../lib/duration.ts";
import { legible } from "../lib/legible.ts";
import { ExitCode } from "./command.ts";
import { complain } from "./terminal.ts";

/** An invalid argument; the message names the argument and the reason. */
export class UsageError extends Error {}

/** Flags of every command that sends requests to a tracker, for `parseArgs`. */
export const clientFlags = {
  ipv4: { type: "boolean", default: false },
  ipv6: { type: "boolean", default: false },
  timeout: { type: "string", default: "15s" },
  json: { type: "boolean", default: false },
} as const;

/** Describes {@link clientFlags}. */
export const clientFlagsHelp: string = `  --ipv4, --ipv6      use this IP version if the URL has a host name
  --timeout DURATION  give up after this time (default 15s)
  --json              print JSON

Exit codes: 0 the tracker responded, 1 no response or a refusal, 2 wrong usage.
`;

/** Converts the values of {@link clientFlags} to the client's options. @throws UsageError */
export function parseClientFlags(values: { ipv4: boolean; ipv6: boolean; timeout: string }): ClientOptions {
  if (values.ipv4 && values.ipv6) throw new UsageError("--ipv4 and --ipv6 exclude each other");
  const timeoutMs = parseMilliseconds("--timeout", values.timeout);
  if (values.ipv4 || values.ipv6) return { timeoutMs, family: values.ipv6 ? 6 : 4 };
  return { timeoutMs };
}

/** Parses the duration of a flag. @returns milliseconds @throws UsageError */
export function parseMilliseconds(flag: string, text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined)
    throw new UsageError(`${flag}: ${text} is not a duration such as 500ms, 1s or 2m`);
  return 1000 * seconds;
}

/** Parses the whole number of a flag. @throws UsageError */
export function parseNumber(flag: string, text: string, least: number, most: number): number {
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`${flag}: ${text} is not a whole number from ${least} to ${most}`);
}

/** Parses an infohash. @returns 20 bytes. @throws UsageError */
export function parseInfoHashArgument(text: string): Uint8Array {
  const infoHash = parseInfoHash(text);
  if (/^[\da-f]{64}$/i.test(text)) throw new UsageError(longInfoHashRemedy);
  if (infoHash === undefined) throw new UsageError(`${text}: an infohash is 40 hexadecimal digits`);
  return infoHash;
}

/**
 * Runs a command. An error of the tracker becomes a line on standard error and exit code 1; an invalid argument becomes a
 * line and exit code 2.
 */
export async function runReporting(name: string, command: () => Promise<number>): Promise<number> {
  try {
    return await command();
  } catch (error) {
    if (error instanceof TrackerError) {
      complain(`chihaya ${name}: ${describe(error)}\n`);
      return ExitCode.failed;
    }
    if (error instanceof UsageError || isParseArgsError(error)) {
      complain(`chihaya ${name}: ${error.message}\nTry: chihaya ${name} --help\n`);
      return ExitCode.usage;
    }
    throw error;
  }
}

/** Describes a failed request in one line. The text may come from the tracker, so control characters are replaced. */
export function describe(error: TrackerError): string {
  if (error.kind !== "refused") return legible(error.message);
  const retry = error.retryIn === undefined ? "" : ` (retry in: ${legible(error.retryIn)})`;
  return `refused by the tracker: ${legible(error.message)}${retry}`;
}

function isParseArgsError(error: unknown): error is Error {
  return error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
}
