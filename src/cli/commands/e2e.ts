import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { announce, scrape } from "../../client/tracker-client.ts";
import { TrackerError } from "../../client/tracker-error.ts";
import { describe, parseMilliseconds, runReporting, UsageError } from "../client-command.ts";
import { ExitCode } from "../command.ts";
import { CheckFailure, expectCount, peerIdOf, type Trace } from "../e2e-check.ts";
import { checkWebSocket } from "../e2e-websocket.ts";
import { complain, print } from "../terminal.ts";

/** The help of `chihaya e2e`. */
export const help: string = `Usage: chihaya e2e [flags]

Checks a running tracker from end to end. Two peers announce to a new swarm: the first must get itself, the second must
get the first, and a scrape must count both. Then both stop, and a scrape must count none. Over WebSocket, the first must get
the second's offer, and the second the first's answer.

  --httpaddr URL    HTTP announce URL; repeat the flag for several URLs, "" for none
                    (default http://127.0.0.1:6969/announce and http://[::1]:6969/announce)
  --udpaddr URL     UDP tracker URL; repeat the flag for several URLs, "" for none
                    (default udp://127.0.0.1:6969 and udp://[::1]:6969)
  --wsaddr URL      WebSocket announce URL, ws: or wss:; repeat the flag for several URLs (default none)
  --delay DURATION  time between the two announces (default 1s)
  --json            print a JSON object for each URL
  --debug           print each response to standard error
  --nocolors        accepted for compatibility with Chihaya; the output has no colours

A default URL is skipped if nothing listens there, unless nothing listens at any of the default URLs.

Exit codes: 0 all checks passed, 1 a check failed, 2 wrong usage.
`;

const defaults = {
  http: ["http://127.0.0.1:6969/announce", "http://[::1]:6969/announce"],
  udp: ["udp://127.0.0.1:6969", "udp://[::1]:6969"],
} as const;

/**
 * Runs `chihaya e2e`.
 * @param args  after the command's name
 * @returns the exit code: 0 all checks passed, 1 a check failed, 2 wrong usage
 */
export function run(args: string[]): Promise<number> {
  return runReporting("e2e", async () => {
    const { values } = parseArgs({
      args,
      options: {
        httpaddr: { type: "string", multiple: true },
        udpaddr: { type: "string", multiple: true },
        wsaddr: { type: "string", multiple: true, default: [] },
        delay: { type: "string", default: "1s" },
        json: { type: "boolean", default: false },
        debug: { type: "boolean", default: false },
        nocolors: { type: "boolean", default: false },
      },
    });
    const delayMs = parseMilliseconds("--delay", values.delay);
    const targets = [
      ...selectTargets("--httpaddr", values.httpaddr, defaults.http, ["http:", "https:"]),
      ...selectTargets("--udpaddr", values.udpaddr, defaults.udp, ["udp:"]),
      ...selectTargets("--wsaddr", values.wsaddr, [], ["ws:", "wss:"]),
    ];
    const trace = values.debug ? (text: string) => complain(`${text}\n`) : () => undefined;
    return checkTargets(targets, delayMs, trace, (result) =>
      print(values.json ? toJson(result) : toText(result)),
    );
  });
}

/**
 * Checks the URLs one after the other.
 * @param report  called with the result of each URL
 * @returns the exit code
 */
export async function checkTargets(
  targets: readonly Target[],
  delayMs: number,
  trace: Trace,
  report: (result: Result) => void,
): Promise<number> {
  const results: Result[] = [];
  for (const { url, isDefault } of targets) {
    const found = await checkUrl(url, delayMs, trace);
    const result: Result = isDefault && found.isAbsent ? { ...found, result: "skipped" } : found;
    results.push(result);
    report(result);
  }
  if (results.length > 0 && results.every(({ result }) => result === "skipped")) {
    complain("chihaya e2e: nothing listens at any of the default URLs; give --httpaddr or --udpaddr\n");
    return ExitCode.failed;
  }
  return results.some(({ result }) => result === "FAILED") ? ExitCode.failed : ExitCode.ok;
}

function toJson({ url, result, reason }: Result): string {
  return `${JSON.stringify({ url, result: result.toLowerCase(), reason })}\n`;
}

function toText({ url, result, reason }: Result): string {
  return `${result.padEnd(7)} ${url}${reason === undefined ? "" : `: ${reason}`}\n`;
}

interface Result {
  url: string;
  result: "ok" | "FAILED" | "skipped";
  reason: string | undefined;
  /** Whether nothing listens at the URL. */
  isAbsent: boolean;
}

interface Target {
  url: string;
  isDefault: boolean;
}

function selectTargets(
  flag: string,
  given: readonly string[] | undefined,
  fallback: readonly string[],
  protocols: readonly string[],
): Target[] {
  if (given === undefined) return fallback.map((url) => ({ url, isDefault: true }));
  const urls = given.filter((url) => url !== "");
  for (const url of urls) {
    if (!URL.canParse(url) || !protocols.includes(new URL(url).protocol)) {
      throw new UsageError(`${flag}: ${url} is not a URL with ${protocols.join(" or ")}`);
    }
  }
  return urls.map((url) => ({ url, isDefault: false }));
}

/** Error codes if nothing listens at an address, or if the machine has no IPv6. */
const absentCodes = ["ECONNREFUSED", "EADDRNOTAVAIL", "ENETUNREACH", "EAFNOSUPPORT"];

async function checkUrl(url: string, delayMs: number, trace: Trace): Promise<Result> {
  try {
    const isWebSocket = url.startsWith("ws");
    await (isWebSocket ? checkWebSocket(url, delayMs, trace) : check(url, delayMs, trace));
    return { url, result: "ok", reason: undefined, isAbsent: false };
  } catch (error) {
    if (!(error instanceof CheckFailure || error instanceof TrackerError)) throw error;
    const reason = error instanceof TrackerError ? describe(error) : error.message;
    const { code } = (error.cause ?? {}) as { code?: string };
    const isAbsent =
      error instanceof TrackerError && error.kind === "unreachable" && absentCodes.includes(code ?? "");
    return { url, result: "FAILED", reason, isAbsent };
  }
}

/** Sends Chihaya's two announces (cmd/chihaya/e2e.go), scrapes, stops both peers and scrapes again. */
async function check(url: string, delayMs: number, trace: Trace): Promise<void> {
  const infoHash = randomBytes(20);
  const announceAs = async (peer: { last: number; port: number }, event: AnnounceEvent) => {
    const response = await announce(url, {
      infoHash,
      peerId: peerIdOf(peer.last),
      port: peer.port,
      left: 100n,
      numWant: 50,
      event,
    });
    trace(`${url}: announce of port ${peer.port}: ${JSON.stringify(response)}`);
    return response;
  };
  const scrapeAndExpect = async (when: string, leechers: number) => {
    const [counts] = await scrape(url, [infoHash]);
    trace(`${url}: scrape: ${JSON.stringify(counts)}`);
    expectCount(when, counts, leechers);
  };
  const first = { last: 0x14, port: 10_001 };
  const second = { last: 0x15, port: 10_002 };

  expectOnlyPeer("first", await announceAs(first, AnnounceEvent.started), first.port);
  await wait(delayMs);
  expectOnlyPeer("second", await announceAs(second, AnnounceEvent.started), first.port);
  await scrapeAndExpect("after both announced", 2);
  await announceAs(first, AnnounceEvent.stopped);
  await announceAs(second, AnnounceEvent.stopped);
  await scrapeAndExpect("after both stopped", 0);
}

function expectOnlyPeer(which: string, response: { peers: readonly { port: number }[] }, port: number): void {
  const ports = response.peers.map((peer) => peer.port);
  if (ports.length === 1 && ports[0] === port) return;
  const got = ports.length === 0 ? "none" : `${ports.length} with port ${ports.join(", ")}`;
  throw new CheckFailure(
    `the response to the ${which} announce should have 1 peer with port ${port}, but has ${got}`,
  );
}
