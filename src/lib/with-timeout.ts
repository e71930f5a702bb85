/** Reports that work took longer than its time limit. */
export class TimeoutError extends Error {}

/**
 * Returns the result of `work`. Rejects with a {@link TimeoutError} with the text `late` if `work` takes longer than
 * `ms`.
 */
export async function withTimeout<T>(ms: number, work: Promise<T>, late = "no response in time"): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new TimeoutError(late)), ms);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
