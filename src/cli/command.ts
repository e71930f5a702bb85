/** A subcommand; its module is loaded when the command runs. */
export interface Command {
  /** The output of `--help`. */
  help: string;
  /** @returns the exit code */
  run(args: string[]): Promise<number>;
}

/** Exit codes of every command; the numbers above 2 are those of sysexits.h. */
export const ExitCode = {
  ok: 0,
  /** The command failed: an address in use, a tracker that does not respond. */
  failed: 1,
  /** The command line is invalid. */
  usage: 2,
  /** The configuration is invalid, or Node.js is too old: a restart does not help. */
  config: 78,
} as const;
