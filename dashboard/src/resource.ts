import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, read } from "./api.ts";
import { pollWhileVisible } from "./poll.ts";

/** What is known of a resource. */
export interface Resource<T> {
  /** The newest content; stays while later readings fail. */
  readonly content: T | undefined;
  readonly error: ApiError | undefined;
  /** Reads again now. */
  refresh(): void;
}

/**
 * Reads a resource of the API, and again after each period, while the page is visible.
 * @param path      below /api/v1; undefined for none. Another path forgets the content
 * @param seconds   the period; 0 for once
 */
export function useResource<T>(path: string | undefined, seconds: number): Resource<T> {
  const [known, setKnown] = useState<{
    path?: string | undefined;
    content?: T;
    error?: ApiError | undefined;
  }>({});
  const refreshed = useRef<() => void>(() => undefined);

  useEffect(() => {
    if (path === undefined) return;
    const poll = pollWhileVisible(seconds * 1000, async (isOld) => {
      try {
        const content = await read<T>(path);
        if (!isOld()) setKnown({ path, content });
        return true;
      } catch (error) {
        if (isOld()) return false;
        const failure = error instanceof ApiError ? error : new ApiError(0, `${error}`);
        setKnown((before) =>
          before.path === path ? { ...before, error: failure } : { path, error: failure },
        );
        // A resource that the tracker does not have will not come to be.
        return failure.status !== 404;
      }
    });
    refreshed.current = poll.refresh;
    return poll.stop;
  }, [path, seconds]);

  const refresh = useCallback(() => refreshed.current(), []);
  const isCurrent = known.path === path;
  return {
    content: isCurrent ? known.content : undefined,
    error: isCurrent ? known.error : undefined,
    refresh,
  };
}
