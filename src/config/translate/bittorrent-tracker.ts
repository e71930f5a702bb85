import { parseArgs } from "node:util";
import type { Translation, TranslationNote } from "./translation.ts";

const quiet = "the tracker logs no single requests; see chihaya serve --help for the level of the log";

/**
 * Translates the command line of bittorrent-tracker 11, without the name of the program.
 * @throws TypeError for an option that bittorrent-tracker does not have
 */
export function translateBittorrentTracker(args: readonly string[]): Translation {
  const { values } = parseArgs({
    args: args.map((arg) => (arg === "--no-stats" ? "--stats=false" : arg)),
    options: {
      port: { type: "string", short: "p", default: "8000" },
      "http-hostname": { type: "string", default: "::" },
      "udp-hostname": { type: "string", default: "0.0.0.0" },
      "udp6-hostname": { type: "string", default: "::" },
      "trust-proxy": { type: "boolean", default: false },
      interval: { type: "string", default: "600000" },
      http: { type: "boolean", default: false },
      udp: { type: "boolean", default: false },
      ws: { type: "boolean", default: false },
      stats: { type: "string" },
      quiet: { type: "boolean", short: "q" },
      silent: { type: "boolean", short: "s" },
    },
  });
  for (const name of ["port", "interval"] as const) {
    if (!/^\d+$/.test(values[name]))
      throw usageError(`--${name} needs a number, got ${JSON.stringify(values[name])}`);
  }
  const notes: TranslationNote[] = [];
  const note = (at: string, reason: string): void => void notes.push({ at, reason });
  const isAll = !values.http && !values.udp && !values.ws;
  const hasStats = values.stats !== "false" && values.stats !== "0";
  if (values.quiet || values.silent) note(values.silent ? "--silent" : "--quiet", quiet);
  if (values["trust-proxy"])
    note("--trust-proxy", "only the proxies of trusted_proxies are trusted; add the addresses of yours");
  if (hasStats && (isAll || values.http))
    note(
      "--stats",
      "only programs on this machine may read statistics; set http.opentracker.stats_from to open them",
    );
  const { port } = values;
  const on = (host: string): string => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
  // Node.js listens on IPv4 too if it listens on `::`.
  const addr =
    values["http-hostname"] === "::" ? [`0.0.0.0:${port}`, `[::]:${port}`] : [on(values["http-hostname"])];
  const http = {
    addr,
    ...(values["trust-proxy"] && {
      real_ip_header: "x-forwarded-for",
      trusted_proxies: ["127.0.0.1", "::1"],
    }),
    ...(hasStats && { opentracker: {} }),
  };
  const udp = { addr: [on(values["udp-hostname"]), on(values["udp6-hostname"])] };
  const seconds = Number(values.interval) / 1000;
  // Its clients over WebSocket announce five times as often.
  const interval = `${Math.max(1, Math.ceil(seconds / 5))}s`;
  const websocket = { interval, ...(!isAll && !values.http && { addr }) };
  const settings = {
    announce_interval: `${Math.max(1, Math.round(seconds))}s`,
    ...((isAll || values.http) && { http }),
    ...((isAll || values.udp) && { udp }),
    ...((isAll || values.ws) && { websocket }),
  };
  return { settings, notes };
}

/** Creates an error like those of `parseArgs`. */
function usageError(message: string): Error {
  return Object.assign(new TypeError(message), { code: "ERR_PARSE_ARGS_INVALID_OPTION_VALUE" });
}
