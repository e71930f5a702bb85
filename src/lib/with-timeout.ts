/** What was waited for did not come in time. */
export class LateError extends Error {}

/** What `work` comes to, or a {@link LateError} with the text `late` when that takes longer. */
export async function within<T>(ms: number, work: Promise<T>, late = "no answer in time"): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new LateError(late)), ms);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
