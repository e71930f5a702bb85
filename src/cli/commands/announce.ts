import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { peerIdLength, toHex } from "../../bittorrent/info-hash.ts";
import type { AnnounceResult } from "../../client/exchange.ts";
import { announce } from "../../client/tracker-client.ts";
import { legible } from "../../lib/legible.ts";
import {
  clientFlags,
  clientFlagsHelp,
  parseClientFlags,
  parseInfoHashArgument,
  parseNumber,
  runReporting,
  UsageError,
} from "../client-command.ts";
import { ExitCode } from "../command.ts";
import { print } from "../terminal.ts";

/** The help of `chihaya announce`. */
export const help: string = `Usage: chihaya announce URL INFOHASH [flags]

Announces to a tracker over HTTP, HTTPS, UDP or WebSocket and prints the response. The tracker then lists this peer until the
peer expires. Announce with --event stopped to remove the peer. Over WebSocket, the tracker removes the peer when the command
ends, and the response has no peers.

  URL                 announce URL: http://HOST:PORT/announce, udp://HOST:PORT, ws://HOST:PORT/announce, wss://...
  INFOHASH            40 hexadecimal digits

  --port PORT         port that the peer listens on (default 6881)
  --left BYTES        bytes left to download; 0 announces a seeder (default 16384)
  --event EVENT       none, started, completed, stopped or paused (default none)
  --numwant N         number of peers to ask for (default: the tracker's default)
  --peer-id ID        20 characters, or 40 hexadecimal digits (default random)
${clientFlagsHelp}`;

const events: Readonly<Record<string, AnnounceEvent | undefined>> = AnnounceEvent;

/**
 * Runs `chihaya announce`.
 * @param args  after the command's name
 * @returns the exit code: 0 the tracker responded, 1 no response or a refusal, 2 wrong usage
 */
export function run(args: string[]): Promise<number> {
  return runReporting("announce", async () => {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        ...clientFlags,
        port: { type: "string", default: "6881" },
        left: { type: "string", default: "16384" },
        event: { type: "string", default: "none" },
        numwant: { type: "string" },
        "peer-id": { type: "string" },
      },
    });
    const [url, infoHashText, ...rest] = positionals;
    if (url === undefined || infoHashText === undefined || rest.length > 0) {
      throw new UsageError("needs a URL and one infohash");
    }
    const infoHash = parseInfoHashArgument(infoHashText);
    const event = Object.hasOwn(events, values.event) ? events[values.event] : undefined;
    if (event === undefined) {
      throw new UsageError(`--event: ${values.event} is not one of ${Object.keys(events).join(", ")}`);
    }
    const parameters = {
      infoHash,
      peerId: parsePeerId(values["peer-id"]),
      port: parseNumber("--port", values.port, 0, 65_535),
      left: parseBytes("--left", values.left),
      event,
      ...(values.numwant === undefined
        ? {}
        : { numWant: parseNumber("--numwant", values.numwant, -1, 2 ** 31 - 1) }),
    };
    const response = await announce(url, parameters, parseClientFlags(values));
    print(`${values.json ? JSON.stringify(toJson(response), null, 2) : toText(response)}\n`);
    return ExitCode.ok;
  });
}

/** @returns 20 bytes; without a text, the prefix of this client and random bytes */
function parsePeerId(text: string | undefined): Uint8Array {
  if (text === undefined) return Buffer.concat([Buffer.from("-CY0001-"), randomBytes(12)]);
  const bytes = /^[0-9a-f]{40}$/i.test(text) ? Buffer.from(text, "hex") : Buffer.from(text, "latin1");
  if (bytes.length !== peerIdLength)
    throw new UsageError("--peer-id: expected 20 characters, or 40 hexadecimal digits");
  return bytes;
}

function parseBytes(flag: string, text: string): bigint {
  if (!/^\d{1,20}$/.test(text) || BigInt(text) >= 2n ** 64n) {
    throw new UsageError(`${flag}: ${text} is not a whole number from 0 to 2^64-1`);
  }
  return BigInt(text);
}

function toJson(response: AnnounceResult): object {
  const peers = response.peers.map(({ peerId, ...peer }) =>
    peerId ? { ...peer, peerId: toHex(peerId) } : peer,
  );
  return { ...response, peers };
}

function toText(response: AnnounceResult): string {
  const minimum = response.minInterval === undefined ? "" : ` (not before ${response.minInterval} s)`;
  const lines = [`interval  ${response.interval} s${minimum}`];
  if (response.complete !== undefined) lines.push(`seeders   ${response.complete}`);
  if (response.incomplete !== undefined) lines.push(`leechers  ${response.incomplete}`);
  if (response.externalIp !== undefined) lines.push(`you are   ${response.externalIp}`);
  if (response.warning !== undefined) lines.push(`warning   ${legible(response.warning)}`);
  lines.push(`peers     ${response.peers.length}`);
  for (const { ip, port, peerId } of response.peers) {
    const host = ip.includes(":") ? `[${legible(ip)}]` : legible(ip);
    lines.push(`  ${host}:${port}${peerId ? ` ${toHex(peerId)}` : ""}`);
  }
  return lines.join("\n");
}
