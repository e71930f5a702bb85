/** A reading that repeats while the page is visible. */
export interface Poll {
  /** Reads now. */
  refresh(): void;
  stop(): void;
}

/**
 * Reads now, and again `ms` after the end of each reading, while the page is visible. A reading that ends on a hidden page
 * is not repeated until the page is visible again.
 * @param read  gets whether a newer reading has begun; returns whether to repeat
 */
export function pollWhileVisible(ms: number, read: (isOld: () => boolean) => Promise<boolean>): Poll {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let turn = 0;

  async function load(): Promise<void> {
    const own = ++turn;
    clearTimeout(timer);
    const repeats = await read(() => own !== turn);
    if (own === turn && repeats && ms > 0 && !document.hidden) timer = setTimeout(refresh, ms);
  }

  function refresh(): void {
    void load();
  }

  function onVisibility(): void {
    if (document.hidden) clearTimeout(timer);
    else refresh();
  }

  document.addEventListener("visibilitychange", onVisibility);
  if (!document.hidden) refresh();
  return {
    refresh,
    stop() {
      turn++;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisibility);
    },
  };
}
