/** Says that work took longer than its time. */
export class TimeoutError extends Error {}

/** Returns the result of `work`. Rejects with a {@link TimeoutError} that has the text `late` if `work` takes longer than `ms`. */
export async function withTimeout<T>(ms: number, work: Promise<T>, late = "no answer in time"): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new TimeoutError(late)), ms);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
