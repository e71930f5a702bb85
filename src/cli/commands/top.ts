import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { legible } from "../../lib/legible.ts";
import type { Stats } from "../../operator/api/endpoints/stats.ts";
import { runReporting } from "../client-command.ts";
import { ExitCode } from "../command.ts";
import { ask, describeEndpoint, type Endpoint, NoReply, parseUrl } from "../operator-client.ts";
import { complain, Screen } from "../terminal.ts";
import { ansiStyle, plainStyle, renderTop, type TopState, type Torrent, type Worker } from "../top-screen.ts";

/** The help of `chihaya top`. */
export const help: string = `Shows what a running tracker does: rates, peers, latency, errors, workers and the largest swarms.

Usage: chihaya top [OPTIONS]

  --url URL           the listener of the admin API (default http://127.0.0.1:6880)
  --token-file FILE   the file that holds a token with the scope read; on the tracker's own machine none is needed
  --once              prints one plain screen and ends, as without a terminal

The screen is new every two seconds. The keys q and Ctrl-C end the command.

Exit codes: 0 ended by a key or after one screen, 1 no response or a refusal, 2 wrong usage.
`;

const refreshMs = 2000;
const timeoutMs = 10_000;
/** A tracker knows rates after its second reading, about a second after the first request; later if its machine is busy. */
const retryMs = 300;
const mostAttempts = 30;
/** Torrents that fit on no common screen. */
const mostTorrents = 200;

/** The admin API does not give what the command needs; the message says why. */
class Refused extends Error {}

/** Runs `chihaya top`. @param args  after the name of the command */
export function run(args: string[]): Promise<number> {
  return runReporting("top", async () => {
    const { values } = parseArgs({
      args,
      options: {
        url: { type: "string", default: "http://127.0.0.1:6880" },
        "token-file": { type: "string" },
        once: { type: "boolean", default: false },
      },
    });
    const endpoint = parseUrl(values.url, values["token-file"]);
    const screen = new Screen();
    try {
      const state = await readKnown(endpoint);
      if (values.once || !screen.isTerminal) {
        screen.printPlain(renderTop(state, plainStyle, describeEndpoint(endpoint), Infinity, 60));
      } else await follow(endpoint, state, screen);
      return ExitCode.ok;
    } catch (error) {
      if (!(error instanceof NoReply || error instanceof Refused)) throw error;
      complain(`chihaya top: ${error.message}\n`);
      return ExitCode.failed;
    }
  });
}

/** Shows the state again and again, until a key ends it. A tracker that is gone for a while does not. */
async function follow(endpoint: Endpoint, first: TopState, screen: Screen): Promise<void> {
  let state = first;
  let problem = "";
  const draw = () => {
    const { columns, rows } = screen.size;
    const lines = renderTop(state, ansiStyle, describeEndpoint(endpoint), columns, rows - 1);
    screen.draw([
      ...lines,
      problem === "" ? ansiStyle.faint("q quits") : ansiStyle.bad(problem.slice(0, columns)),
    ]);
  };
  screen.open(draw);
  try {
    draw();
    while (!(await screen.waitForEnd(refreshMs))) {
      try {
        state = { ...(await readState(endpoint)), before: state.stats };
        problem = "";
      } catch (error) {
        problem = legible((error as Error).message);
      }
      draw();
    }
  } finally {
    screen.close();
  }
}

/** Reads the state. A tracker that has started just now knows no rates, so asks again until it does. */
async function readKnown(endpoint: Endpoint): Promise<TopState> {
  let state = await readState(endpoint);
  for (let i = 1; i < mostAttempts && !knowsRates(state); i++) {
    await wait(retryMs);
    state = { ...(await readState(endpoint)), before: state.stats };
  }
  return state;
}

function knowsRates({ series }: TopState): boolean {
  return Object.values(series).some((values) => values.some((value) => value !== null));
}

async function readState(endpoint: Endpoint): Promise<TopState> {
  const stats = (await read(endpoint, "/stats")) as Stats | undefined;
  if (stats?.rates === undefined)
    throw new Refused(
      `${describeEndpoint(endpoint)}: there is no admin API on this listener; add the block admin`,
    );
  const [history, workers, torrents] = await Promise.all([
    read(endpoint, "/stats/history?window=10s&step=1s"),
    read(endpoint, "/workers"),
    read(endpoint, `/torrents?sort=peers&limit=${mostTorrents}`),
  ]);
  return {
    stats,
    series: (history as { series?: TopState["series"] } | undefined)?.series ?? {},
    workers: (workers as { workers?: Worker[] } | undefined)?.workers,
    torrents: (torrents as { torrents?: Torrent[] } | undefined)?.torrents,
  };
}

/** Reads a resource. @returns undefined if the tracker does not have it, or cannot give it now @throws Refused, NoReply */
async function read(endpoint: Endpoint, path: string): Promise<unknown> {
  const { status, body } = await ask(endpoint, "GET", `/api/v1${path}`, timeoutMs);
  if (status === 200) return body;
  if (status === 404 || status === 501 || status === 503) return undefined;
  const { detail } = (body ?? {}) as { detail?: unknown };
  const why = typeof detail === "string" ? legible(detail) : `status ${status}`;
  const remedy = status === 401 ? "; give one with --token-file FILE" : "";
  throw new Refused(`${describeEndpoint(endpoint)}: ${why}${remedy}`);
}
