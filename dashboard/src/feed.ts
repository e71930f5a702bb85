import { ApiError, read, type Series, type Stats } from "./api.ts";

/** How the page gets its numbers. */
export type Connection =
  | "connecting"
  /** Each second, as events. */
  | "live"
  /** Every two seconds, because too many others follow the events. */
  | "polling"
  /** No response. */
  | "lost"
  /** The tracker wants a token. */
  | "locked";

export interface Listener {
  onStats(stats: Stats): void;
  onSample(sample: Series): void;
  onConnection(connection: Connection): void;
}

/** Between two requests without events. */
const pollMs = 2000;
/** After the tracker refused events. */
const refusedMs = 30_000;
/** An event is due each second. */
const silenceMs = 6000;

/**
 * Follows the numbers of the tracker while the page is visible: by events, or by requests if there are no events to be had.
 * @returns how to end that
 */
export function followStats(listener: Listener): () => void {
  let source: EventSource | undefined;
  let timer: number | undefined;
  let hasEvents = false;
  /** When events may be tried again. */
  let retryAt = 0;
  /** Counts up when what is under way no longer matters. */
  let turn = 0;

  function stop(): void {
    turn++;
    source?.close();
    source = undefined;
    clearTimeout(timer);
  }

  function later(ms: number, then: () => void): void {
    clearTimeout(timer);
    timer = window.setTimeout(then, ms);
  }

  function open(): void {
    stop();
    hasEvents = false;
    source = new EventSource("/api/v1/events");
    later(silenceMs, fallBack);
    source.addEventListener("stats", ({ data }) => {
      hasEvents = true;
      later(silenceMs, fallBack);
      listener.onConnection("live");
      listener.onStats(JSON.parse(data));
    });
    source.addEventListener("sample", ({ data }) => listener.onSample(JSON.parse(data)));
    source.addEventListener("error", fallBack);
  }

  function fallBack(): void {
    retryAt = performance.now() + (hasEvents ? 0 : refusedMs);
    stop();
    void poll();
  }

  async function poll(): Promise<void> {
    const own = turn;
    try {
      const stats = await read<Stats>("/stats");
      if (own !== turn) return;
      listener.onStats(stats);
      if (performance.now() >= retryAt) return open();
      listener.onConnection("polling");
    } catch (error) {
      if (own !== turn) return;
      const status = error instanceof ApiError ? error.status : 0;
      if (status === 401 || status === 403) return listener.onConnection("locked");
      listener.onConnection("lost");
      retryAt = 0;
    }
    later(pollMs, () => void poll());
  }

  function onVisibility(): void {
    if (document.hidden) stop();
    else open();
  }

  document.addEventListener("visibilitychange", onVisibility);
  if (!document.hidden) open();
  return () => {
    document.removeEventListener("visibilitychange", onVisibility);
    stop();
  };
}
