import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as announce from "./commands/announce.ts";
import * as e2e from "./commands/e2e.ts";
import * as scrape from "./commands/scrape.ts";

const commands: Record<string, { run(args: string[]): Promise<number> }> = { announce, e2e, scrape };

describe("wrong usage of announce, scrape and e2e", () => {
  const url = "http://127.0.0.1:1/announce";
  const infoHash = "00".repeat(20);
  const wrong: [string, RegExp][] = [
    ["announce", /needs a URL and one infohash/],
    [`announce ${url} ${infoHash} ${infoHash}`, /needs a URL and one infohash/],
    [`announce ${url} abc`, /40 hexadecimal digits/],
    [`announce ${url} ${infoHash} --event begun`, /--event: begun is not one of none, completed/],
    [`announce ${url} ${infoHash} --event toString`, /--event: toString/],
    [`announce ${url} ${infoHash} --left -1`, /--left/],
    [
      `announce ${url} ${infoHash} --left=18446744073709551616`,
      /--left: 18446744073709551616 is not a whole number/,
    ],
    [`announce ${url} ${infoHash} --port=65536`, /--port: 65536/],
    [`announce ${url} ${infoHash} --peer-id short`, /--peer-id/],
    [`announce ${url} ${infoHash} --ipv4 --ipv6`, /exclude each other/],
    [`announce ${url} ${infoHash} --timeout 5`, /--timeout: 5 is not a duration/],
    [`announce ${url} ${infoHash} --nonsense`, /--nonsense/],
    [`scrape ${url}`, /needs a URL and infohashes/],
    [`scrape ${url} ${infoHash}0`, /40 hexadecimal digits/],
    ["e2e --delay soon", /--delay: soon/],
    ["e2e --httpaddr udp://127.0.0.1:1", /--httpaddr: udp:/],
    ["e2e extra", /extra/],
  ];
  for (const [line, message] of wrong) {
    it(line.replaceAll(infoHash, "INFOHASH"), async (t) => {
      const error = t.mock.method(process.stderr, "write", () => true);
      const [command, ...args] = line.split(" ");
      assert.equal(await commands[command!]!.run(args), 2);
      assert.match(String(error.mock.calls[0]?.arguments[0]), message);
    });
  }
});
