import { ClientError, overloadedError } from "../bittorrent/client-error.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { ChainLink } from "./chain.ts";
import type { Hook, RequestContext, Verdict } from "./hook.ts";

/** Bounds of a hook that answers later. */
export interface HookLimits {
  /** Seconds after which a request does not wait any longer. */
  timeout: number;
  /** Requests that may wait at once. */
  maxInFlight: number;
}

/** The bounds of a hook that is given none. */
export const defaultLimits: HookLimits = { timeout: 5, maxInFlight: 1000 };

/** The longest time that a timer can wait for, in milliseconds: a longer one ends at once. */
const mostMs = 2 ** 31 - 1;
const timedOut = new ClientError("request timed out", "hook-timeout", { retryIn: 1 });

/**
 * Puts bounds around a hook that may answer later. A request whose deadline passes is refused, its `context.signal` is
 * aborted, and what the hook does with it afterwards reaches nobody; one that comes while too many wait is refused
 * without being shown to the hook. Both are counted as `chihaya_hook_refusals_total`. An answer at once costs nothing.
 */
export function withDeadline(hook: Hook, limits: HookLimits, metrics: Metrics): Hook {
  const { name } = hook;
  const help = "Requests that a hook did not answer, by why";
  const refusals = (reason: string) =>
    metrics.counter("chihaya_hook_refusals_total", help, { hook: name, reason });
  const overloads = refusals("overloaded");
  const timeouts = refusals("timeout");
  const timeoutMs = Math.min(limits.timeout * 1000, mostMs);
  let inFlight = 0;
  const waiting = metrics.upDownCounter("chihaya_hook_requests_in_flight", "Requests that wait for a hook", {
    hook: name,
  });

  async function wait(answer: Promise<Verdict>, context: RequestContext): Promise<Verdict> {
    inFlight++;
    waiting.inc();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Verdict>((resolve) => {
      timer = setTimeout(() => {
        timeouts.inc();
        context.abandon(timedOut);
        resolve(timedOut);
      }, timeoutMs);
    });
    answer.catch(() => undefined); // one that fails too late fails unheard
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
      inFlight--;
      waiting.inc(-1);
    }
  }

  function bounded<Request, Response>(
    handle: ChainLink<Request, Response>["handle"],
  ): ChainLink<Request, Response>["handle"] {
    return (request, response, context) => {
      if (inFlight >= limits.maxInFlight) {
        overloads.inc();
        return overloadedError;
      }
      const verdict = handle(request, response, context);
      return verdict instanceof Promise ? wait(verdict, context) : verdict;
    };
  }

  const limited: Hook = { name };
  if (hook.handleAnnounce) limited.handleAnnounce = bounded(hook.handleAnnounce.bind(hook));
  if (hook.handleScrape) limited.handleScrape = bounded(hook.handleScrape.bind(hook));
  if (hook.aroundAnnounce) limited.aroundAnnounce = hook.aroundAnnounce.bind(hook);
  if (hook.ready) limited.ready = hook.ready.bind(hook);
  if (hook.start) limited.start = hook.start.bind(hook);
  if (hook.stop) limited.stop = hook.stop.bind(hook);
  return limited;
}
