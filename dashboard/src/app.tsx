import { useCallback, useEffect, useState } from "preact/hooks";
import { legible } from "../../src/lib/legible.ts";
import {
  formatCount,
  formatDuration,
  formatMilliseconds,
  formatNumber,
  formatRate,
  formatShare,
} from "../../src/lib/quantities.ts";
import { type Principal, read, type Series, type Stats, send } from "./api.ts";
import { Bans } from "./bans.tsx";
import { Chart } from "./chart.tsx";
import { Clients } from "./clients.tsx";
import { Errors } from "./errors.tsx";
import { Events } from "./events.tsx";
import { type Connection, followStats } from "./feed.ts";
import { append, type Columns, extend, noColumns, sum, toColumns } from "./history.ts";
import { Lists } from "./lists.tsx";
import type { Entry } from "./log.ts";
import { isTimingKnown, Overview } from "./overview.tsx";
import { SignIn } from "./session.tsx";
import { applyTheme, storedTheme, type Theme, themes } from "./theme.ts";
import { Tile } from "./tile.tsx";
import { Torrents } from "./torrents.tsx";
import { windows } from "./windows.ts";
import { Workers } from "./workers.tsx";

const shortest = windows[0];
/** Seconds over which the rates of errors are given. */
const errorPeriod = 10;
const maxEntries = 50;

const states: Readonly<Record<Connection, string>> = {
  connecting: "Connecting …",
  live: "Live",
  polling: "Every 2 s",
  lost: "Connection lost",
  locked: "Sign in needed",
};

const themeNames: Readonly<Record<Theme, string>> = { system: "Auto", light: "Light", dark: "Dark" };

/** The whole page. */
export function App() {
  const [connection, setConnection] = useState<Connection>("connecting");
  const [recentStats, setRecentStats] = useState<readonly Stats[]>([]);
  const [live, setLive] = useState<Columns>(noColumns);
  const [past, setPast] = useState<Columns>(noColumns);
  const [window, setWindow] = useState(shortest);
  const [entries, setEntries] = useState<readonly Entry[]>([]);
  const [principal, setPrincipal] = useState<Principal>({ name: "anonymous", scopes: [] });
  const [signInReason, setSignInReason] = useState("");
  const [theme, setTheme] = useState<Theme>(storedTheme);
  const [systemTheme, setSystemTheme] = useState("");
  const stats = recentStats.at(-1);

  const note = useCallback((entry: Omit<Entry, "at">) => {
    setEntries((before) => [{ ...entry, at: Date.now() }, ...before].slice(0, maxEntries));
  }, []);

  const loadLive = useCallback(() => {
    read<Series>(`/stats/history?window=${shortest.seconds}s&step=${shortest.step}`).then(
      (series) => setLive((before) => extend(toColumns(series), before)),
      () => undefined, // the connection says so
    );
  }, []);

  // The numbers, from the tracker's events. Another principal begins again.
  useEffect(() => {
    let previous: Connection = "connecting";
    let version: string | undefined;
    return followStats({
      onStats(next) {
        // Another version of the tracker has another version of this page.
        if (version !== undefined && version !== next.version) location.reload();
        version = next.version;
        setRecentStats((before) =>
          [...before.filter(({ uptime_seconds }) => uptime_seconds < next.uptime_seconds), next].slice(
            -errorPeriod - 1,
          ),
        );
      },
      onSample: (sample) => setLive((before) => append(before, sample, shortest.seconds)),
      onConnection(next) {
        if (next === previous) return;
        if (next === "lost") note({ level: "error", text: "The tracker does not respond." });
        if (previous === "lost" && next !== "locked")
          note({ level: "info", text: "The tracker responds again." });
        if (next === "live" || next === "polling") loadLive();
        if (next === "locked") setSignInReason("The tracker shows its numbers only to holders of a token.");
        previous = next;
        setConnection(next);
      },
    });
  }, [principal.name]);

  useEffect(() => {
    send<Principal>("GET", "/session").then(setPrincipal, () => undefined);
    const media = matchMedia("(prefers-color-scheme: dark)");
    const onChange = () => setSystemTheme(media.matches ? "dark" : "light");
    onChange();
    media.addEventListener("change", onChange);
    return () => media.removeEventListener("change", onChange);
  }, []);

  // Longer windows are read from the history.
  const isConnected = connection === "live" || connection === "polling";
  useEffect(() => {
    if (window.refresh === 0 || !isConnected) return;
    let isOver = false;
    const load = () => {
      if (document.hidden) return;
      read<Series>(`/stats/history?window=${window.seconds}s&step=${window.step}`).then(
        (series) => !isOver && setPast(toColumns(series)),
        () => undefined,
      );
    };
    load();
    const timer = setInterval(load, window.refresh * 1000);
    return () => {
      isOver = true;
      clearInterval(timer);
    };
  }, [window, isConnected]);

  const columns = window.refresh === 0 ? live : past;
  const { times, series } = columns;
  const colors = theme === "system" ? systemTheme : theme;
  const chart = { times, seconds: window.seconds, theme: colors };
  const isTimed = stats === undefined || isTimingKnown(stats);
  const hasWeb = (stats?.web.sockets ?? null) !== null;
  const third = hasWeb ? "s4" : "s6";

  function choose(next: Theme): void {
    applyTheme(next);
    setTheme(next);
  }

  async function signOut(): Promise<void> {
    await send("DELETE", "/session").catch(() => undefined);
    setPrincipal(await send<Principal>("GET", "/session").catch(() => ({ name: "anonymous", scopes: [] })));
  }

  const steering = {
    mayWrite: principal.scopes.includes("write"),
    requestSignIn: setSignInReason,
    note,
  };
  const isSignedIn = principal.name !== "anonymous" && principal.name !== "socket";
  return (
    <>
      <header class="top">
        <h1>chihaya</h1>
        <span class="muted facts">
          {stats === undefined
            ? ""
            : `${legible(stats.version)} · up ${formatDuration(stats.uptime_seconds)}`}
        </span>
        <span class={`state ${connection}`} role="status">
          <i aria-hidden="true" />
          {states[connection]}
        </span>
        <span class="grow" />
        <fieldset class="choice" aria-label="Time shown by the charts">
          {windows.map((one) => (
            <button
              type="button"
              key={one.label}
              aria-pressed={one === window}
              onClick={() => setWindow(one)}
            >
              {one.label}
            </button>
          ))}
        </fieldset>
        <label class="theme">
          <span class="hidden">Colours</span>
          <select value={theme} onChange={(event) => choose(event.currentTarget.value as Theme)}>
            {themes.map((one) => (
              <option value={one} key={one}>
                {themeNames[one]}
              </option>
            ))}
          </select>
        </label>
        {isSignedIn ? (
          <button
            type="button"
            onClick={() => void signOut()}
            title={`Signed in as ${legible(principal.name)}`}
          >
            Sign out
          </button>
        ) : (
          <button
            type="button"
            onClick={() => setSignInReason("Changes, and whole addresses of peers, need a token.")}
          >
            Sign in
          </button>
        )}
      </header>
      <main class={connection === "lost" ? "old" : undefined}>
        <Overview stats={stats} live={live} columns={columns} />
        <Tile title="Requests by protocol" size="s6">
          <Chart
            {...chart}
            name="Requests a second by protocol"
            format={formatRate}
            empty="No requests in this time."
            lines={[
              { label: "UDP announces", values: series.udp_announces ?? [], color: 1, isFilled: true },
              { label: "HTTP announces", values: series.http_announces ?? [], color: 2, isFilled: true },
              ...(hasWeb
                ? [
                    {
                      label: "WebSocket announces",
                      values: series.websocket_announces ?? [],
                      color: 4 as const,
                      isFilled: true,
                    },
                  ]
                : []),
              {
                label: "Scrapes",
                values: sum(series.udp_scrapes, series.http_scrapes, series.websocket_scrapes),
                color: 3,
              },
              { label: "Connects", values: series.udp_connects ?? [], color: 6, isDashed: true },
            ]}
          />
        </Tile>
        <Tile title="Peers and torrents" size="s6">
          <Chart
            {...chart}
            name="Peers and torrents"
            format={formatNumber}
            empty="The store gives no counts."
            lines={[
              { label: "Seeders", values: series.seeders ?? [], color: 2, isFilled: true },
              { label: "Leechers", values: series.leechers ?? [], color: 1, isFilled: true },
              { label: "Torrents", values: series.torrents ?? [], color: 4 },
            ]}
          />
        </Tile>
        <Tile title="Latency" size={third}>
          <Chart
            {...chart}
            name="Latency"
            format={formatMilliseconds}
            empty={
              isTimed
                ? "No timed requests in this time."
                : "Set enable_request_timing: true for http, udp and websocket, and reload, to see response times."
            }
            lines={[
              { label: "p99", values: series.latency_p99_ms ?? [], color: 4 },
              { label: "p50", values: series.latency_p50_ms ?? [], color: 1 },
            ]}
          />
        </Tile>
        <Tile title="Errors and drops" size={third}>
          <Chart
            {...chart}
            name="Error responses and drops a second"
            format={formatRate}
            empty="No numbers in this time."
            lines={[
              { label: "Error responses", values: series.errors ?? [], color: 5, isFilled: true },
              { label: "Dropped or rejected", values: series.dropped ?? [], color: 3 },
            ]}
          />
        </Tile>
        {hasWeb && (
          <Tile title="Browsers" size={third} aside={<Health {...stats!.web} />}>
            <Chart
              {...chart}
              name="Offers and answers a second between browsers"
              format={formatRate}
              empty="No numbers in this time."
              lines={[
                { label: "Offers", values: series.web_offers ?? [], color: 1, isFilled: true },
                { label: "Answers", values: series.web_answers ?? [], color: 2, isFilled: true },
              ]}
            />
          </Tile>
        )}
        <Torrents {...steering} />
        <Errors stats={stats} before={recentStats[0]} />
        <Workers />
        <Lists stats={stats} />
        <Clients />
        <Bans {...steering} />
        <Events own={entries} />
      </main>
      <footer class="muted">
        <a href="/api/v1/openapi.json">API</a> · <a href="/metrics">Metrics</a> ·{" "}
        <a href="/readyz">Readiness</a> · <a href="/api/v1/config">Configuration</a> ·{" "}
        <a href="/licenses.txt">Licenses</a>
      </footer>
      {signInReason !== "" && (
        <SignIn reason={signInReason} onClose={() => setSignInReason("")} onPrincipal={setPrincipal} />
      )}
    </>
  );
}

/** The open WebSockets, and how many offers between them got an answer. */
function Health({ sockets, answered_share: share }: Stats["web"]) {
  return (
    <span class="muted">
      <b data-figure="sockets">{formatCount(sockets)}</b> WebSockets,{" "}
      <span title="Answers for each offer of the last 15 minutes">
        <b data-figure="answered">{formatShare(share)}</b> answered
      </span>
    </span>
  );
}
