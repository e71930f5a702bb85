/** A subcommand, loaded when it is called. */
export interface Command {
  /** What `--help` prints. */
  help: string;
  /** @returns the exit code */
  run(args: string[]): Promise<number>;
}

/** Exit codes of every command; the numbers above 2 are those of sysexits.h. */
export const ExitCode = {
  ok: 0,
  /** What was asked for did not work out: an address in use, a tracker that does not answer. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** The configuration is wrong, or Node.js is too old: to try again does not help. */
  config: 78,
} as const;
