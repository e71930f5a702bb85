import { ClientError, overloadedError } from "../bittorrent/client-error.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { ChainLink } from "./chain.ts";
import type { Hook, HookResult, RequestContext } from "./hook.ts";

/** Limits of a hook that responds later. */
export interface HookLimits {
  /** Seconds after which a request stops waiting. */
  timeout: number;
  /** Requests that may wait at once. */
  maxInFlight: number;
}

/** The default limits. */
export const defaultLimits: HookLimits = { timeout: 5, maxInFlight: 1000 };

/** The longest time of a timer, in milliseconds; a longer timer fires at once. */
const mostMs = 2 ** 31 - 1;
const timedOut = new ClientError("request timed out", "hook-timeout", { retryIn: 1 });

/**
 * Limits a hook that may respond later. When the deadline of a request passes, the request is refused, its
 * `context.signal` is aborted, and the later result of the hook is ignored. While too many requests wait, further ones
 * are refused without calling the hook. `chihaya_hook_refusals_total` counts both. An immediate response costs nothing.
 */
export function withDeadline(hook: Hook, limits: HookLimits, metrics: Metrics): Hook {
  const { name } = hook;
  const help = "Requests refused without the result of a hook, by reason";
  const refusals = (reason: string) =>
    metrics.counter("chihaya_hook_refusals_total", help, { hook: name, reason });
  const overloads = refusals("overloaded");
  const timeouts = refusals("timeout");
  const timeoutMs = Math.min(limits.timeout * 1000, mostMs);
  let inFlight = 0;
  const waiting = metrics.upDownCounter("chihaya_hook_requests_in_flight", "Requests that wait for a hook", {
    hook: name,
  });

  async function wait(result: Promise<HookResult>, context: RequestContext): Promise<HookResult> {
    inFlight++;
    waiting.inc();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<HookResult>((resolve) => {
      timer = setTimeout(() => {
        timeouts.inc();
        context.abandon(timedOut);
        resolve(timedOut);
      }, timeoutMs);
    });
    result.catch(() => undefined); // a failure after the deadline is ignored
    try {
      return await Promise.race([result, late]);
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
      const result = handle(request, response, context);
      return result instanceof Promise ? wait(result, context) : result;
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
