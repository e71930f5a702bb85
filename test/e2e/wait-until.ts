import { setTimeout as wait } from "node:timers/promises";

/**
 * Waits until `condition` holds, asking four times a second.
 * @param deadlineMs  after which it fails: generous, as clients call again a minute or two after a call that failed
 * @param what        names the condition in the failure
 */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 180_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${deadlineMs / 1000} s: ${what}`);
    await wait(250);
  }
}
