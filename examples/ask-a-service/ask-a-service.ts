import { ClientError, defineHook, type HookResult, toHex } from "chihaya";
import { z } from "zod";
import { Verdicts } from "./verdicts.ts";

const unregistered = new ClientError("unregistered torrent");
const unavailable = new ClientError("cannot verify the torrent now", "hook", { retryIn: 1 });

/**
 * Asks a service whether a torrent may be tracked: `GET url/INFOHASH`, where 2xx is yes and 403 or 404 is no. Answers
 * are remembered for a while; anything else is no answer, and `when_down` says what it means.
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
    const verdicts = new Verdicts(cache_seconds, cache_size);
    const answers = (answer: string) =>
      metrics.counter("ask_a_service_answers_total", "What the service has answered", { answer });
    const [approved, refused, none] = [answers("approved"), answers("refused"), answers("none")];
    let isUp = true;

    function note(nowUp: boolean, reason: string): void {
      if (nowUp !== isUp) logger.warn({ url, reason }, nowUp ? "the service answers again" : "no answer");
      isUp = nowUp;
    }

    async function ask(infoHash: string, signal: AbortSignal): Promise<HookResult> {
      try {
        // Its own time limit, below the one in chihaya.yaml: past that one no hook can let the request pass.
        const soon = AbortSignal.any([signal, AbortSignal.timeout(timeout_ms)]);
        const { ok, status, body } = await fetch(`${url}/${infoHash}`, { signal: soon });
        await body?.cancel();
        if (!ok && status !== 403 && status !== 404) throw new Error(`status ${status}`);
        note(true, `status ${status}`);
        (ok ? approved : refused).inc();
        return verdicts.remember(infoHash, ok ? undefined : unregistered, clock.seconds);
      } catch (error) {
        none.inc();
        note(false, (error as Error).message);
        return when_down === "allow" ? undefined : unavailable;
      }
    }

    return {
      // No promise for what is known: such announces are answered at once.
      handleAnnounce({ infoHash }, _response, context) {
        const key = toHex(infoHash);
        const known = verdicts.get(key, clock.seconds);
        return known === undefined ? ask(key, context.signal) : known.verdict;
      },
    };
  },
});
