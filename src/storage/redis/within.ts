/** What `work` comes to, or an error with the text `late` when that takes longer. */
export async function within<T>(ms: number, work: Promise<T>, late = "no answer in time"): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(late)), ms);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
