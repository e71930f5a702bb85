import { ClientError, defineHook, type HookResult, toHex } from "chihaya";
import { z } from "zod";
import { Decisions } from "./decisions.ts";

const unregistered = new ClientError("unregistered torrent");
const unavailable = new ClientError("cannot verify the torrent now", "hook", { retryIn: 1 });

/**
 * Asks a service whether a torrent is allowed: `GET url/INFOHASH`, where 2xx means yes and 403 or 404 means no. The hook
 * caches both. After any other response, and without a response, `when_down` decides.
 */
export default defineHook({
  name: "ask a service",
  options: z.strictObject({
    url: z.url(),
    timeout_ms: z.int().positive().default(1000),
    cache_seconds: z.int().positive().default(60),
    cache_size: z.int().positive().default(100_000),
    when_down: z.enum(["allow", "refuse"]).default("refuse"),
  }),
  create({ url, timeout_ms, cache_seconds, cache_size, when_down }, { clock, logger, metrics }) {
    const decisions = new Decisions(cache_seconds, cache_size);
    const requests = (result: string) =>
      metrics.counter("ask_a_service_requests_total", "Requests to the service, by result", { result });
    const [approved, refused, failed] = [requests("approved"), requests("refused"), requests("failed")];
    let isUp = true;

    function note(nowUp: boolean, reason: string): void {
      if (nowUp !== isUp)
        logger.warn({ url, reason }, nowUp ? "the service works again" : "the service failed");
      isUp = nowUp;
    }

    async function ask(infoHash: string, signal: AbortSignal): Promise<HookResult> {
      try {
        // This limit is below `timeout` in chihaya.yaml. After `timeout` the tracker refuses, whatever the hook returns.
        const soon = AbortSignal.any([signal, AbortSignal.timeout(timeout_ms)]);
        const { ok, status, body } = await fetch(`${url}/${infoHash}`, { signal: soon });
        await body?.cancel();
        if (!ok && status !== 403 && status !== 404) throw new Error(`status ${status}`);
        note(true, `status ${status}`);
        (ok ? approved : refused).inc();
        return decisions.remember(infoHash, ok ? undefined : unregistered, clock.seconds);
      } catch (error) {
        failed.inc();
        note(false, (error as Error).message);
        return when_down === "allow" ? undefined : unavailable;
      }
    }

    return {
      // A cached decision needs no promise, so the announce does not wait.
      handleAnnounce({ infoHash }, _response, context) {
        const key = toHex(infoHash);
        const known = decisions.get(key, clock.seconds);
        return known === undefined ? ask(key, context.signal) : known.decision;
      },
    };
  },
});
