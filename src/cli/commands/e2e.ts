import { randomBytes } from "node:crypto";
import { networkInterfaces } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { announce, scrape } from "../../client/tracker-client.ts";
import { TrackerError } from "../../client/tracker-error.ts";
import { describe, parseMilliseconds, runReporting, UsageError } from "../client-command.ts";
import { ExitCode } from "../command.ts";

/** The help of `chihaya e2e`. */
export const help: string = `Usage: chihaya e2e [flags]

Checks a running tracker from end to end: two peers announce to a fresh swarm, the first is answered with itself, the
second with the first; a scrape counts both; they stop, and a scrape counts none.

  --httpaddr URL    HTTP announce URL; repeat it for several, "" for none
                    (default http://127.0.0.1:6969/announce and http://[::1]:6969/announce)
  --udpaddr URL     UDP tracker URL; repeat it for several, "" for none
                    (default udp://127.0.0.1:6969 and udp://[::1]:6969)
  --delay DURATION  between the two announces (default 1s)

The defaults on ::1 are left out on a machine without IPv6.
Exit code: 0 everything holds, 1 something does not, 2 wrong usage.
`;

const defaults = {
  http: ["http://127.0.0.1:6969/announce", "http://[::1]:6969/announce"],
  udp: ["udp://127.0.0.1:6969", "udp://[::1]:6969"],
} as const;

/** What was expected of the tracker and is not so. */
class CheckFailure extends Error {}

/**
 * Runs `chihaya e2e`.
 * @param args  after the command's name
 * @returns the exit code: 0 everything holds, 1 something does not, 2 wrong usage
 */
export function run(args: string[]): Promise<number> {
  return runReporting("e2e", async () => {
    const { values } = parseArgs({
      args,
      options: {
        httpaddr: { type: "string", multiple: true },
        udpaddr: { type: "string", multiple: true },
        delay: { type: "string", default: "1s" },
      },
    });
    const delayMs = parseMilliseconds("--delay", values.delay);
    const urls = [
      ...selectUrls("--httpaddr", values.httpaddr, defaults.http, ["http:", "https:"]),
      ...selectUrls("--udpaddr", values.udpaddr, defaults.udp, ["udp:"]),
    ];
    let failures = 0;
    for (const url of urls) if (!(await report(url, delayMs))) failures++;
    return failures === 0 ? ExitCode.ok : ExitCode.failed;
  });
}

function selectUrls(
  flag: string,
  given: readonly string[] | undefined,
  fallback: readonly string[],
  protocols: readonly string[],
): readonly string[] {
  if (given === undefined) return hasIPv6() ? fallback : fallback.filter((url) => !url.includes("[::1]"));
  const urls = given.filter((url) => url !== "");
  for (const url of urls) {
    if (!URL.canParse(url) || !protocols.includes(new URL(url).protocol)) {
      throw new UsageError(`${flag}: ${url} is no URL with ${protocols.join(" or ")}`);
    }
  }
  return urls;
}

function hasIPv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ address }) => address === "::1"),
  );
}

async function report(url: string, delayMs: number): Promise<boolean> {
  try {
    await check(url, delayMs);
    console.log(`ok      ${url}`);
    return true;
  } catch (error) {
    if (!(error instanceof CheckFailure || error instanceof TrackerError)) throw error;
    const reason = error instanceof TrackerError ? describe(error) : error.message;
    console.log(`FAILED  ${url}: ${reason}`);
    return false;
  }
}

/** Chihaya's two announces (cmd/chihaya/e2e.go), then scrape and stop. */
async function check(url: string, delayMs: number): Promise<void> {
  const infoHash = randomBytes(20);
  const announceAs = (peer: { last: number; port: number }, event: AnnounceEvent) => {
    const peerId = Uint8Array.from({ length: 20 }, (_, i) => i + 1);
    peerId[19] = peer.last;
    return announce(url, { infoHash, peerId, port: peer.port, left: 100n, numWant: 50, event });
  };
  const expectCount = async (when: string, leechers: number) => {
    const [counts] = await scrape(url, [infoHash]);
    const { complete = 0, incomplete = 0 } = counts ?? {};
    if (complete !== 0 || incomplete !== leechers) {
      throw new CheckFailure(
        `${when}, the scrape should count 0 seeders and ${leechers} leechers, but counts ${complete} and ${incomplete}`,
      );
    }
  };
  const first = { last: 0x14, port: 10_001 };
  const second = { last: 0x15, port: 10_002 };

  expectOnlyPeer("first", await announceAs(first, AnnounceEvent.started), first.port);
  await wait(delayMs);
  expectOnlyPeer("second", await announceAs(second, AnnounceEvent.started), first.port);
  await expectCount("with both peers there", 2);
  await announceAs(first, AnnounceEvent.stopped);
  await announceAs(second, AnnounceEvent.stopped);
  await expectCount("after both stopped", 0);
}

function expectOnlyPeer(which: string, answer: { peers: readonly { port: number }[] }, port: number): void {
  const ports = answer.peers.map((peer) => peer.port);
  if (ports.length === 1 && ports[0] === port) return;
  const got = ports.length === 0 ? "none" : `${ports.length} with port ${ports.join(", ")}`;
  throw new CheckFailure(
    `the ${which} announce should be answered with 1 peer with port ${port}, but is answered with ${got}`,
  );
}
