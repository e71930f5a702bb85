import { setTimeout as wait } from "node:timers/promises";

/** How long to wait for a client, in milliseconds: a client calls again a minute or two after a call that failed. */
export const patienceMs = 180_000;

/**
 * Waits until `condition` holds. Asks at once and then ever more rarely, at least four times a second.
 * @param what        names the condition in the failure; a function can also tell what it saw last
 * @param deadlineMs  after which it fails, also if `condition` does not return
 */
export async function waitUntil(
  what: string | (() => string),
  condition: () => boolean | Promise<boolean>,
  deadlineMs: number = patienceMs,
): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  late.catch(() => undefined); // it may reject between two questions
  const fail = (): void =>
    reject(new Error(`not within ${deadlineMs / 1000} s: ${typeof what === "string" ? what : what()}`));
  const timer = setTimeout(fail, deadlineMs);
  const started = performance.now();
  try {
    while (!(await Promise.race([condition(), late])))
      await wait(Math.min(Math.max(5, (performance.now() - started) / 10), 250));
  } finally {
    clearTimeout(timer);
  }
}
