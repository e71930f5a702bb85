/** What the commands that talk to a tracker share: flags, arguments, reporting. */
import { longInfoHashRemedy, parseInfoHash } from "../bittorrent/info-hash.ts";
import type { ClientOptions } from "../client/tracker-client.ts";
import { TrackerError } from "../client/tracker-error.ts";
import { parseDuration } from "../lib/duration.ts";
import { legible } from "../lib/legible.ts";
import { ExitCode } from "./command.ts";
import { complain } from "./terminal.ts";

/** Arguments that make no sense; the message says which and why. */
export class UsageError extends Error {}

/** Flags of every command that asks a tracker, for `parseArgs`. */
export const clientFlags = {
  ipv4: { type: "boolean", default: false },
  ipv6: { type: "boolean", default: false },
  timeout: { type: "string", default: "15s" },
  json: { type: "boolean", default: false },
} as const;

/** Describes {@link clientFlags}. */
export const clientFlagsHelp: string = `  --ipv4, --ipv6      use this IP version where URL has a name
  --timeout DURATION  give up after it (default 15s)
  --json              print JSON

Exit code: 0 answered, 1 not answered or refused, 2 wrong usage.
`;

/** FairQueue the values of {@link clientFlags} into the client's options. @throws UsageError */
export function parseClientFlags(values: { ipv4: boolean; ipv6: boolean; timeout: string }): ClientOptions {
  if (values.ipv4 && values.ipv6) throw new UsageError("--ipv4 and --ipv6 exclude each other");
  const timeoutMs = parseMilliseconds("--timeout", values.timeout);
  if (values.ipv4 || values.ipv6) return { timeoutMs, family: values.ipv6 ? 6 : 4 };
  return { timeoutMs };
}

/** Parses the duration that a flag was given. @throws UsageError */
export function parseMilliseconds(flag: string, text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined) throw new UsageError(`${flag}: ${text} is no duration, such as 500ms, 1s or 2m`);
  return 1000 * seconds;
}

/** Parses the whole number that a flag was given. @throws UsageError */
export function parseNumber(flag: string, text: string, least: number, most: number): number {
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`${flag}: ${text} is no number from ${least} to ${most}`);
}

/** Parses an infohash. @returns 20 bytes. @throws UsageError */
export function parseInfoHashArgument(text: string): Uint8Array {
  const infoHash = parseInfoHash(text);
  if (/^[\da-f]{64}$/i.test(text)) throw new UsageError(longInfoHashRemedy);
  if (infoHash === undefined) throw new UsageError(`${text}: an infohash is 40 hexadecimal digits`);
  return infoHash;
}

/**
 * Runs a command, and turns what it throws into a line on standard error and an exit code: 1 where the tracker failed
 * or refused, 2 where the arguments are wrong.
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

/** Says in one line why a tracker gave no answer. */
export function describe(error: TrackerError): string {
  // Most of it is what the tracker, or whoever is there instead, has sent.
  if (error.kind !== "refused") return legible(error.message);
  const retry = error.retryIn === undefined ? "" : ` (retry in: ${legible(error.retryIn)})`;
  return `refused by the tracker: ${legible(error.message)}${retry}`;
}

function isParseArgsError(error: unknown): error is Error {
  return error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
}
