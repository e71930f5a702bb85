/** The clock of this machine differs from that of Redis by more than the configuration allows. */
export class SkewError extends Error {
  /** @param skew  seconds that the tracker is ahead; negative where it is behind */
  constructor(skew: number, most: number) {
    const where = skew > 0 ? "ahead of" : "behind";
    super(
      `the clock of this machine is ${Math.abs(skew)} s ${where} the clock of Redis, and max_clock_skew is ${most}s: ` +
        "synchronize both clocks",
    );
  }
}

/** Whether Redis says that it has no room. */
export function isFull(error: unknown): boolean {
  return /\bOOM\b|maxmemory/.test((error as Error).message);
}

/** Whether Redis says that its user may not do something. Redis 6.2 and 7 word it differently inside a script. */
export function isForbidden(error: unknown): boolean {
  return /\bNOPERM\b|ACL failure|user executing the script/.test((error as Error).message);
}

/** Errors that say something about the server, also where a script passes them on. */
const ofServer =
  /\b(ASK|BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|MOVED|NOAUTH|NOREPLICAS|NOSCRIPT|READONLY|TRYAGAIN|UNKILLABLE|WRONGPASS)\b|Script killed/;

/**
 * Whether Redis has run a command or script, which failed: what its key holds may be why. False for errors of the
 * connection, and for errors that every other key would meet too.
 */
export function isOfKey(error: unknown): boolean {
  const { message } = error as Error;
  if (!/^(ERR|WRONGTYPE)\b|user_script/.test(message)) return false;
  return !ofServer.test(message) && !isFull(error) && !isForbidden(error);
}
