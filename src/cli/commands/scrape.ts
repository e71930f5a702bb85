import { parseArgs } from "node:util";
import { toHex } from "../../bittorrent/info-hash.ts";
import type { SwarmCounts } from "../../client/exchange.ts";
import { scrape } from "../../client/tracker-client.ts";
import {
  clientFlags,
  clientFlagsHelp,
  parseClientFlags,
  parseInfoHashArgument,
  runReporting,
  UsageError,
} from "../client-command.ts";
import { ExitCode } from "../command.ts";
import { print } from "../terminal.ts";

/** The help of `chihaya scrape`. */
export const help: string = `Usage: chihaya scrape URL INFOHASH... [flags]

Scrapes a tracker over HTTP, HTTPS, UDP or WebSocket and prints the counts of each swarm.

  URL                 announce URL, from which the scrape URL is derived (BEP 48), or scrape URL. Over WebSocket, announces
                      and scrapes have one URL
  INFOHASH            40 hexadecimal digits; any number of infohashes

${clientFlagsHelp}`;

/**
 * Runs `chihaya scrape`.
 * @param args  after the command's name
 * @returns the exit code: 0 the tracker responded, 1 no response or a refusal, 2 wrong usage
 */
export function run(args: string[]): Promise<number> {
  return runReporting("scrape", async () => {
    const { values, positionals } = parseArgs({ args, allowPositionals: true, options: clientFlags });
    const [url, ...texts] = positionals;
    if (url === undefined || texts.length === 0) throw new UsageError("needs a URL and infohashes");
    const infoHashes = texts.map(parseInfoHashArgument);
    const counts = await scrape(url, infoHashes, parseClientFlags(values));
    const rows = infoHashes.map((infoHash, i) => ({ infoHash: toHex(infoHash), counts: counts[i] }));
    if (values.json) {
      const entries = rows.map((row) => [row.infoHash, row.counts ?? null]);
      print(`${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`);
    } else {
      for (const row of rows) print(`${row.infoHash}  ${toText(row.counts)}\n`);
    }
    return ExitCode.ok;
  });
}

function toText(counts: SwarmCounts | undefined): string {
  if (counts === undefined) return "not in the response";
  const parts = [`${counts.complete} seeders`, `${counts.incomplete} leechers`];
  if (counts.downloaders !== undefined) parts.push(`${counts.downloaders} downloading`);
  if (counts.downloaded !== undefined) parts.push(`${counts.downloaded} downloads`);
  return parts.join(", ");
}
