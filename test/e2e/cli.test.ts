/** The commands that ask a tracker, as their users run them. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { checkTargets } from "../../src/cli/commands/e2e.ts";
import { findFreePort, hasIPv6 } from "./ports.ts";
import { startTracker, type TestTracker, type Transport } from "./tracker.ts";

const main = join(import.meta.dirname, "../../src/cli/main.ts");

async function chihaya(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const [[code], out, err] = await Promise.all([
    once(child, "close"),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code: code as number, out, err };
}

const transports: readonly Transport[] = hasIPv6() ? ["http4", "http6", "udp4", "udp6"] : ["http4", "udp4"];

describe("the commands against a tracker", () => {
  let directory: string;
  let tracker: TestTracker;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "chihaya-e2e-"));
    tracker = await startTracker(directory);
  });
  after(async () => {
    await tracker?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it("e2e finds that everything holds, over every protocol and family", async () => {
    const flags = transports.map((over) => `--${over.slice(0, -1)}addr=${tracker.url(over)}`);
    const { code, out, err } = await chihaya("e2e", ...flags, "--delay", "0");
    assert.equal(err, "");
    assert.deepEqual(
      out.trim().split("\n"),
      transports.map((over) => `ok      ${tracker.url(over)}`),
    );
    assert.equal(code, 0);
  });

  for (const [i, over] of transports.entries()) {
    it(`announces and scrapes over ${over}`, async () => {
      const url = tracker.url(over);
      const infoHash = `0${i}`.repeat(20);
      const seeder = await chihaya("announce", url, infoHash, "--left", "0", "--port", "1001");
      assert.match(seeder.out, /^interval {2}5 s.*\nseeders {3}1\nleechers {2}0\n/);
      assert.equal(seeder.code, 0);

      const leecher = await chihaya("announce", url, infoHash, "--port=1002", "--event=started", "--json");
      const answer = JSON.parse(leecher.out);
      assert.deepEqual(answer.peers, [{ ip: over.endsWith("6") ? "::1" : "127.0.0.1", port: 1001 }]);
      assert.deepEqual([answer.complete, answer.incomplete], [1, 1]);

      const unknown = "ff".repeat(20);
      const scraped = await chihaya("scrape", url, infoHash, unknown);
      assert.equal(
        scraped.out,
        `${infoHash}  1 seeders, 1 leechers, 0 downloads\n${unknown}  0 seeders, 0 leechers, 0 downloads\n`,
      );
      const json = JSON.parse((await chihaya("scrape", url, infoHash, "--json")).out);
      assert.deepEqual(json, { [infoHash]: { complete: 1, incomplete: 1, downloaded: 0 } });
    });
  }

  it("prints the tracker's reason and exits with 1", async () => {
    const refused = await chihaya("announce", tracker.url("http4"), "00".repeat(20), "--port", "0");
    assert.match(refused.err, /^chihaya announce: refused by the tracker: /);
    assert.equal(refused.out, "");
    assert.equal(refused.code, 1);
  });
});

describe("the commands without one", () => {
  it("e2e names what does not hold and exits with 1", async (t) => {
    const server = createServer((_, response) => response.end("d8:intervali60e5:peers0:e")).listen(
      0,
      "127.0.0.1",
    );
    await once(server, "listening");
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const { code, out } = await chihaya("e2e", `--httpaddr=http://127.0.0.1:${port}/announce`, "--udpaddr=");
    assert.match(
      out,
      /^FAILED {2}http:\/\/127\.0\.0\.1:\d+\/announce: the response to the first announce should .* none\n$/,
    );
    assert.equal(code, 1);
  });

  it("a hostile tracker cannot drive the terminal", async (t) => {
    const evil = "\u001b]0;owned\u0007\u009b31m\n42 passed\u202e";
    const bencode = (text: string) => `${Buffer.byteLength(text)}:${text}`;
    const answers: Record<string, string> = {
      "/refuse/announce": `d14:failure reason${bencode(evil)}8:retry in${bencode(evil)}e`,
      "/refuse/scrape": `d14:failure reason${bencode(evil)}e`,
      "/warn/announce": `d8:intervali60e5:peersld2:ip${bencode(`::1${evil}`)}4:porti1eee15:warning message${bencode(evil)}e`,
    };
    const server = createServer((request, response) => {
      const path = request.url!.split("?")[0]!;
      if (path.startsWith("/go")) response.writeHead(302, { location: `x${encodeURI("\u0007")}:y` }).end();
      else response.end(answers[path]);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const infoHash = "ab".repeat(20);
    for (const args of [
      ["announce", `${url}/refuse/announce`, infoHash],
      ["announce", `${url}/refuse/announce`, infoHash, "--json"],
      ["announce", `${url}/warn/announce`, infoHash],
      ["announce", `${url}/warn/announce`, infoHash, "--json"],
      ["announce", `${url}/go/announce`, infoHash],
      ["scrape", `${url}/refuse/announce`, infoHash],
      ["e2e", `--httpaddr=${url}/refuse/announce`, "--udpaddr="],
      ["e2e", `--httpaddr=${url}/warn/announce`, "--udpaddr=", "--debug", "--json"],
    ]) {
      const { out, err } = await chihaya(...args);
      assert.doesNotMatch(out + err, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/, args.join(" "));
      assert.doesNotMatch(out + err, /^42 passed/m);
      assert.notEqual(out + err, "");
    }
    const { out } = await chihaya("announce", `${url}/warn/announce`, infoHash, "--json");
    assert.equal(JSON.parse(out).warning, evil);
  });

  it("e2e takes Chihaya's flags, before the command as well", async (t) => {
    const server = createServer((_, response) => response.end("d14:failure reason2:noe")).listen(
      0,
      "127.0.0.1",
    );
    await once(server, "listening");
    t.after(() => server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/announce`;
    const flags = [`--httpaddr=${url}`, "--udpaddr="];
    const json = `${JSON.stringify({ url, result: "failed", reason: "refused by the tracker: no" })}\n`;
    assert.deepEqual(await chihaya("--debug", "e2e", "--nocolors", ...flags, "--json"), {
      code: 1,
      out: json,
      err: "",
    });
    assert.deepEqual(await chihaya("--json", "--nocolors", "e2e", "--debug", ...flags), {
      code: 1,
      out: json,
      err: "",
    });
  });

  it("e2e skips a default URL where nothing listens", async (t) => {
    const server = createServer((_, response) => response.end("d14:failure reason2:noe")).listen(
      0,
      "127.0.0.1",
    );
    await once(server, "listening");
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const free = await findFreePort();
    const check = async (...targets: [url: string, isDefault: boolean][]) => {
      const results: string[] = [];
      const list = targets.map(([url, isDefault]) => ({ url, isDefault }));
      const code = await checkTargets(
        list,
        0,
        () => undefined,
        ({ result }) => results.push(result),
      );
      return [code, ...results];
    };
    const there = `http://127.0.0.1:${port}/announce`;
    const absent = [
      `http://127.0.0.1:${free}/announce`,
      `udp://127.0.0.1:${free}`,
      `http://[::1]:${free}/announce`,
    ];
    assert.deepEqual(await check([absent[0]!, false]), [1, "FAILED"]);
    assert.deepEqual(await check(...absent.map((url) => [url, true] as [string, boolean])), [
      1,
      "skipped",
      "skipped",
      "skipped",
    ]);
    assert.deepEqual(await check([there, true], [absent[1]!, true]), [1, "FAILED", "skipped"]);
  });

  it("e2e has nothing to do without addresses", async () => {
    assert.deepEqual(await chihaya("e2e", "--httpaddr=", "--udpaddr="), { code: 0, out: "", err: "" });
  });

  it("wrong usage exits with 2 and prints nothing but why", async () => {
    const { code, out, err } = await chihaya("announce", "http://127.0.0.1:1/announce");
    assert.match(err, /^chihaya announce: needs a URL and one infohash\nTry: chihaya announce --help\n$/);
    assert.equal(out, "");
    assert.equal(code, 2);
  });

  for (const command of ["announce", "scrape", "e2e"]) {
    it(`${command} --help prints its usage`, async () => {
      const { code, out } = await chihaya(command, "--help");
      assert.match(out, new RegExp(`^Usage: chihaya ${command} `));
      assert.equal(code, 0);
    });
  }
});
