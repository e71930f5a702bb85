import { parseArgs } from "node:util";
import { toHex } from "../../bittorrent/info-hash.ts";
import { type SwarmCounts, scrape } from "../../client/tracker-client.ts";
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

Asks a tracker over HTTP, HTTPS or UDP for the counts of swarms and prints them.

  URL                 announce URL; the scrape URL is derived from it (BEP 48), or given itself
  INFOHASH            40 hexadecimal digits, as many infohashes as you like

${clientFlagsHelp}`;

/**
 * Runs `chihaya scrape`.
 * @param args  after the command's name
 * @returns the exit code: 0 answered, 1 not answered or refused, 2 wrong usage
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
  if (counts === undefined) return "no answer for it";
  const parts = [`${counts.complete} seeders`, `${counts.incomplete} leechers`];
  if (counts.downloaders !== undefined) parts.push(`${counts.downloaders} downloading`);
  if (counts.downloaded !== undefined) parts.push(`${counts.downloaded} downloads`);
  return parts.join(", ");
}
