/** Reports that the clocks of this machine and of Redis differ by more than the options allow. */
export class SkewError extends Error {
  /** @param skew  seconds that the tracker is ahead; negative if behind */
  constructor(skew: number, most: number) {
    const where = skew > 0 ? "ahead of" : "behind";
    super(
      `the clock of this machine is ${Math.abs(skew)} s ${where} the clock of Redis, and max_clock_skew is ${most}s: ` +
        "synchronize both clocks",
    );
  }
}

/** Returns whether the error means that Redis has no room. */
export function isFull(error: unknown): boolean {
  return /\bOOM\b|maxmemory/.test((error as Error).message);
}

/** Returns whether the error means a missing permission. Redis 6.2 and 7 word it differently inside a script. */
export function isForbidden(error: unknown): boolean {
  return /\bNOPERM\b|ACL failure|user executing the script/.test((error as Error).message);
}

/** Errors that stay the same until an operator changes something, with the remedies. */
const refusals: readonly (readonly [reply: RegExp, remedy: string])[] = [
  [/^WRONGPASS\b/, "correct the user or the password in redis_broker"],
  [/^NOAUTH\b/, "add the password to redis_broker"],
  [/^ERR AUTH\b.* without any password/, "remove the password from redis_broker"],
  [/^ERR (DB index is out of range|invalid DB index)/, "lower the number of the database in redis_broker"],
  [/\bcertificate\b/, "correct redis_ca_path, or the certificate of the server"],
  [/^NOPERM\b/, "allow it to the user of redis_broker"],
];

/** Returns whether Redis refuses the login, the database or a command, or cannot be trusted, so that another attempt ends in the same way. */
export function isRefusal(error: unknown): boolean {
  return refusals.some(([reply]) => reply.test((error as Error).message));
}

/** Returns the text of an error, with the remedy if it is a refusal. */
export function withRemedy({ message, name }: Error): string {
  const remedy = refusals.find(([reply]) => reply.test(message))?.[1];
  const text = message || name;
  return remedy === undefined ? text : `${text.replace(/[.?]$/, "")}; ${remedy}`;
}

/** Errors that concern the whole server, even if a script passes them on. */
const ofServer =
  /\b(ASK|BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|MOVED|NOAUTH|NOREPLICAS|NOSCRIPT|READONLY|TRYAGAIN|UNKILLABLE|WRONGPASS)\b|Script killed/;

/**
 * Returns whether the error came from a command or script that Redis ran, so that the contents of its key may be the
 * cause. False for errors of the connection, and for errors that every other key would meet too.
 */
export function isOfKey(error: unknown): boolean {
  const { message } = error as Error;
  if (!/^(ERR|WRONGTYPE)\b|user_script/.test(message)) return false;
  return !ofServer.test(message) && !isFull(error) && !isForbidden(error);
}
