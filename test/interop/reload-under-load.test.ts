/**
 * A reload every second under load: no request fails, no peer is lost.
 *
 * CHIHAYA_RELOAD_SECONDS sets how long; the figures are printed with the test.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { scrape } from "../../src/client/tracker-client.ts";
import { AnnounceLoad } from "../support/announce-load.ts";
import { Daemon, type DaemonSettings, toYaml } from "../support/daemon.ts";

const seconds = Number(process.env.CHIHAYA_RELOAD_SECONDS ?? 4);
const perSecond = 2000;
/** On a machine that is busy with other things as well, the last of them come after the announces. */
const reloadsAtLeast = 3;

const unused = ["0123456789abcdef0123456789abcdef01234567"];
/** One after the other, as often as it takes; the broken one comes early, so that the shortest run has it. */
const files: readonly (DaemonSettings | "broken")[] = [
  {
    announce_interval: "20m",
    prehooks: [{ name: "torrent approval", options: { blacklist: unused } }],
    http: { max_numwant: 30, default_numwant: 20, announce_routes: ["/announce", "/:passkey/announce"] },
    udp: { max_numwant: 30, default_numwant: 20 },
  },
  "broken",
  {
    prehooks: [
      { name: "client approval", options: { whitelist: ["TR3000"] } },
      {
        name: "interval variation",
        options: { modify_response_probability: 0.5, max_increase_delta: 60, modify_min_interval: true },
      },
    ],
    storage: { config: { gc_interval: "1s", peer_lifetime: "40m" } },
    http: { enable_request_timing: true },
    udp: { max_clock_skew: "1m", enable_request_timing: true },
  },
  {},
];

test(`${perSecond} announces a second for ${seconds} s with a reload every second`, async (t) => {
  const daemon = await Daemon.start(t);
  const load = await AnnounceLoad.open(t, { udp: daemon.port("udp"), http: daemon.port("http") });
  const over = new AbortController();
  const [report, reloads] = await Promise.all([
    load.run(seconds, perSecond).finally(() => over.abort()),
    reloadEverySecond(daemon, over.signal),
  ]);

  t.diagnostic(JSON.stringify({ ...report, reloads }));
  assert.equal(report.announces, seconds * perSecond);
  assert.ok(reloads.good >= 2 && reloads.refused >= 1);

  const url = `${daemon.url("http")}/announce`;
  const counts = await scrape(
    url,
    load.torrents.map(({ infoHash }) => infoHash),
  );
  assert.deepEqual(
    counts.map((count) => [count?.complete, count?.incomplete]),
    load.expectedCounts(),
  );
  daemon.child.kill("SIGTERM");
  assert.deepEqual(await daemon.ended, { code: 0, signal: null });
  const wrong = daemon.lines.filter(
    ({ level, msg }) => level !== "info" && !msg.startsWith("configuration not"),
  );
  assert.deepEqual(wrong, []);
});

async function reloadEverySecond(
  daemon: Daemon,
  over: AbortSignal,
): Promise<{ good: number; refused: number }> {
  const count = { good: 0, refused: 0 };
  for (let i = 0; ; i++) {
    await wait(1000, undefined, { signal: over }).catch(() => undefined);
    if (over.aborted && i >= reloadsAtLeast) return count;
    const file = files[i % files.length]!;
    const isBroken = file === "broken";
    const text = isBroken ? `${toYaml({ announce_intervall: "1m" })}\n]` : toYaml(file);
    const { msg } = await daemon.reload(text, i % 3 === 0 ? "SIGUSR1" : "SIGHUP");
    assert.equal(msg.startsWith("configuration not reloaded: "), isBroken, msg);
    count[isBroken ? "refused" : "good"]++;
  }
}
