import { parseArgs } from "node:util";
import { HttpLoad } from "../../load/http-load.ts";
import type { Load, LoadResult } from "../../load/load.ts";
import { resolveTarget, type Target } from "../../load/target.ts";
import { UdpLoad } from "../../load/udp-load.ts";
import { WebSocketLoad } from "../../load/websocket-load.ts";
import { parseNumber, runReporting, UsageError } from "../client-command.ts";
import { ExitCode } from "../command.ts";
import { complain, print } from "../terminal.ts";

/** The help of `chihaya bench`. */
export const help: string = `Usage: chihaya bench URL [flags]

Measures how many announces per second a tracker can serve. First announces every peer once, then announces random peers.

  URL                 announce URL, udp:, http: or ws:, of a tracker on this machine or in a private network
  --seconds N         duration of the measurement (default 10)
  --torrents N        number of torrents; a few of them have most peers (default 10000)
  --peers N           number of peers (default 100000; over WebSocket 1000, because each peer has a connection)
  --numwant N         peers that an announce asks for (default 30)
  --rate N            announces per second; also measures latency (default: as many as the tracker can serve)
  --connections N     HTTP: concurrent connections (default 64)
  --keep-alive        HTTP: send many announces over a connection (default: one connection for each announce)
  --offers N          WebSocket: offers in an announce (default 5); the peers that get the offers answer them
  --json              print JSON

The command uses one processor. If the tracker is on 127.0.0.0/8, the requests come from 64 addresses. Over UDP, one
request in 101 is a scrape. The command needs Linux and the optional package koffi. The peers stay in the tracker until
they expire.

Exit codes: 0 all responses were right, 1 a response was missing or wrong, 2 wrong usage.
`;

/**
 * Runs `chihaya bench`.
 * @param args  after the command's name
 * @returns the exit code: 0 all responses were right, 1 a response was missing or wrong, 2 wrong usage
 */
export function run(args: string[]): Promise<number> {
  return runReporting("bench", async () => {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        seconds: { type: "string", default: "10" },
        torrents: { type: "string", default: "10000" },
        peers: { type: "string" },
        numwant: { type: "string", default: "30" },
        rate: { type: "string" },
        connections: { type: "string", default: "64" },
        offers: { type: "string", default: "5" },
        "keep-alive": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
      },
    });
    const [url, ...rest] = positionals;
    if (url === undefined || rest.length > 0) throw new UsageError("needs one URL");
    const connections = parseNumber("--connections", values.connections, 1, 10_000);
    const seconds = parseNumber("--seconds", values.seconds, 1, 86_400);
    const rate = values.rate === undefined ? {} : { rate: parseNumber("--rate", values.rate, 1, 10_000_000) };
    const target = await resolveTarget(url).catch((error: Error) => {
      throw new UsageError(error.message);
    });
    const isWebSocket = target.protocol === "ws";
    const shape = {
      torrents: parseNumber("--torrents", values.torrents, 1, 100_000_000),
      peers: parseNumber("--peers", values.peers ?? (isWebSocket ? "1000" : "100000"), 1, 100_000_000),
      numWant: parseNumber("--numwant", values.numwant, 0, 1000),
    };
    const offers = parseNumber("--offers", values.offers, 0, 100);
    let load: Load | undefined;
    try {
      load = await createLoad(target, { ...shape, connections, keepAlive: values["keep-alive"], offers });
      const filled = load.fill();
      const result = load.run({ seconds, ...rate });
      const report = [filled, result].map(toJson);
      print(
        `${
          values.json
            ? JSON.stringify({ url, ...shape, fill: report[0], run: report[1] }, null, 2)
            : toText(filled, result)
        }\n`,
      );
      return result.answered > 0 && result.errors === 0 && result.lost === 0 ? ExitCode.ok : ExitCode.failed;
    } catch (error) {
      // There is no koffi for this platform, or the tracker does not respond.
      complain(`chihaya bench: ${(error as Error).message}\n`);
      return ExitCode.failed;
    } finally {
      load?.close();
    }
  });
}

interface Shape {
  torrents: number;
  peers: number;
  numWant: number;
  connections: number;
  keepAlive: boolean;
  offers: number;
}

function createLoad({ protocol, host, port, path }: Target, shape: Shape): Promise<Load> {
  if (protocol === "ws") return WebSocketLoad.create({ host, port, path, ...shape });
  if (protocol === "udp") return UdpLoad.create({ host, port, ...shape });
  return HttpLoad.create({ host, port, path, ...shape });
}

function toJson(result: LoadResult): object {
  const { seconds, sent, announces, scrapes, errors, lost, rate, peersPerAnswer, offers, answers, latency } =
    result;
  const relayed = offers === 0 ? {} : { offersRelayed: offers, answersRelayed: answers };
  const counts = {
    seconds,
    sent,
    announces,
    scrapes,
    errors,
    lost,
    answersPerSecond: rate,
    peersPerAnswer,
    ...relayed,
  };
  return latency.count === 0 ? counts : { ...counts, latencyMicroseconds: latency.summary() };
}

function toText(filled: LoadResult, result: LoadResult): string {
  const lines = [
    `filled        ${filled.announces} peers in ${filled.seconds.toFixed(1)} s`,
    `responses     ${Math.round(result.rate)} per second, ${result.answered} in ${result.seconds.toFixed(1)} s`,
    result.offers === 0
      ? `peers         ${result.peersPerAnswer.toFixed(1)} per response`
      : `relayed       ${result.offers} offers, ${result.answers} answers`,
    `lost          ${result.lost}`,
    `wrong         ${result.errors}`,
  ];
  if (result.latency.count > 0) {
    const { p50, p99, p999, max } = result.latency.summary();
    const [median, ...others] = [p50, p99, p999, max].map((value) => (value / 1000).toFixed(2));
    lines.push(
      `latency       ${median} ms (p50), ${others[0]} ms (p99), ${others[1]} ms (p99.9), ${others[2]} ms (maximum)`,
    );
  }
  return lines.join("\n");
}
