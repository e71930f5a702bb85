import { fstatSync } from "node:fs";
import { isatty } from "node:tty";

/** How lines are written: `auto` is text for a terminal and for the journal of systemd, else JSON. */
export const logFormats = ["auto", "json", "pretty"] as const;
export type LogFormat = (typeof logFormats)[number];

/** What the lines of a log go to. */
export interface LogTarget {
  readonly isTerminal: boolean;
  /** Whether the journal of systemd reads the lines, and takes the priority from their beginning. */
  readonly isJournal: boolean;
}

/** Finds out what standard error is. @param env  as in `process.env` */
export function findLogTarget(env: Readonly<Record<string, string | undefined>>): LogTarget {
  return { isTerminal: isatty(2), isJournal: isJournal(2, env.JOURNAL_STREAM) };
}

/** Returns whether a descriptor is the stream whose device and inode systemd names: it may lead elsewhere by now. */
export function isJournal(fd: number, stream: string | undefined): boolean {
  if (!stream) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return `${dev}:${ino}` === stream;
  } catch {
    return false;
  }
}

/** The priorities of syslog, which the journal takes from `<3>` before a line. */
const priorities = { debug: 7, info: 6, warn: 4, error: 3 } as const;
export type Priority = keyof typeof priorities;

/** Puts a priority before each line of a text for the journal. */
export function withPriority(text: string, level: Priority): string {
  return text.replace(/^(?=.)/gm, `<${priorities[level]}>`);
}
