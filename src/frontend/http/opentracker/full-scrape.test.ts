import assert from "node:assert/strict";
import { test } from "node:test";
import type { RecordPage, TorrentRecord } from "../../../storage/records.ts";
import { formats, listTorrents, type ScrapeFormat, stateDump } from "./full-scrape.ts";
import { rankTorrents } from "./top-torrents.ts";

function torrent(infoHash: Uint8Array, seeders: number, leechers: number, snatches: number): TorrentRecord {
  return { infoHash, seeders, leechers, snatches, partial: 0, peers4: seeders + leechers, peers6: 0 };
}

/** A store whose pages are given. The record is reused, as a store may do. */
function recordsOf(...pages: TorrentRecord[][]) {
  const reused = torrent(new Uint8Array(20), 0, 0, 0);
  return {
    torrents(cursor?: string): RecordPage {
      const index = Number(cursor ?? 0);
      const next = index + 1 < pages.length ? `${index + 1}` : undefined;
      const torrents = (function* () {
        for (const one of pages[index] ?? []) {
          reused.infoHash.set(one.infoHash);
          yield Object.assign(reused, { ...one, infoHash: reused.infoHash });
        }
      })();
      return { torrents, peers: [], next };
    },
  };
}

async function list(format: ScrapeFormat, ...pages: TorrentRecord[][]): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of listTorrents(recordsOf(...pages), format, 29_930_887)) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}

const bytes = Buffer.from(Array.from({ length: 260 }, (_, i) => i % 256));
/** Every byte is in one of the infohashes. */
const everyByte = Array.from({ length: 13 }, (_, i) => torrent(bytes.subarray(20 * i, 20 * i + 20), 1, 0, 0));
const a = torrent(Buffer.alloc(20, "A"), 2, 1, 1);
const z = torrent(Buffer.alloc(20, 0xff), 4_294_967, 1_000_000_000, 0);

for (const [name, expected] of Object.entries({
  txt: `${"41".repeat(20)}:2:1\n${"FF".repeat(20)}:4294967:1000000000\n`,
  txtp: `${"41".repeat(20)}:2:1:1\n${"FF".repeat(20)}:4294967:1000000000:0\n`,
  bin: `${"A".repeat(20)}\0\0\0\x02\0\0\0\x01${"\xff".repeat(20)}\0\x41\x89\x37\x3b\x9a\xca\0`,
  ben: `d5:filesd20:${"A".repeat(20)}d8:completei2e10:downloadedi1e10:incompletei1ee20:${"\xff".repeat(20)}d8:completei4294967e10:downloadedi0e10:incompletei1000000000eeee`,
  url: `${"A".repeat(20)}:2:1\n${"%ff".repeat(20)}:4294967:1000000000\n`,
})) {
  test(`the format ${name} has opentracker's bytes`, async () => {
    assert.equal(await list(formats.get(name)!, [a, z]), expected);
    assert.equal(await list(formats.get(name)!, [], [z, a], []), expected, "of a page, sorted");
    const empty = await list(formats.get(name)!, []);
    assert.equal(empty, name === "ben" ? "d5:filesdee" : "");
  });
}

test("a state dump has the minute and the snatches of each torrent", async () => {
  assert.equal(
    await list(stateDump, [a], [z]),
    `${"41".repeat(20)}:29930887:1\n${"FF".repeat(20)}:29930887:0\n`,
  );
});

test("the format url escapes the bytes that opentracker escapes", async () => {
  assert.equal(
    await list(formats.get("url")!, everyByte.slice(0, 7)),
    [
      "%00%01%02%03%04%05%06%07%08%09%0a%0b%0c%0d%0e%0f%10%11%12%13:1:0",
      "%14%15%16%17%18%19%1a%1b%1c%1d%1e%1f%20%21%22%23$%25%26%27:1:0",
      "%28%29%2a%2b%2c-./0123456789%3a%3b:1:0",
      "%3c=%3e%3f%40ABCDEFGHIJKLMNO:1:0",
      "PQRSTUVWXYZ%5b%5c%5d%5e_%60abc:1:0",
      "defghijklmnopqrstuvw:1:0",
      "xyz%7b%7c%7d~%7f%80%81%82%83%84%85%86%87%88%89%8a%8b:1:0\n",
    ].join("\n"),
  );
});

test("a page is sorted by its infohashes, which hides the order of the walk", async () => {
  const alike = Array.from({ length: 30 }, (_, i) =>
    torrent(Buffer.alloc(20, `torrent ${(i * 7) % 30} `), 0, 1, 0),
  );
  for (const torrents of [everyByte.slice(0, 12).reverse(), alike]) {
    const lines = (await list(formats.get("txt")!, torrents)).trim().split("\n");
    assert.deepEqual(lines, [...lines].sort());
    assert.equal(lines.length, torrents.length);
  }
});

test("reading a chunk makes one step of the walk", async () => {
  let steps = 0;
  const records = recordsOf(...Array.from({ length: 10 }, () => [a]));
  const torrents = (cursor?: string) => {
    steps++;
    return records.torrents(cursor);
  };
  const reader = listTorrents({ torrents }, formats.get("ben")!, 0);
  await reader.next();
  assert.equal(steps, 0, "the header needs none");
  await reader.next();
  await reader.next();
  assert.equal(steps, 2);
  await reader.return();
  assert.equal(steps, 2);
});

test("a ranking has the hundred torrents with the most peers and the most seeders", async () => {
  const torrents = Array.from({ length: 300 }, (_, i) => {
    const infoHash = Buffer.alloc(20);
    infoHash.writeUInt32BE(i);
    return torrent(infoHash, i % 7 === 0 ? i : 0, (i * 37) % 300, 0);
  });
  const { byPeers, bySeeders } = await rankTorrents(recordsOf(torrents.slice(0, 100), torrents.slice(100)));
  const ranked = (count: (one: TorrentRecord) => number) =>
    torrents
      .map(count)
      .filter((n) => n > 0)
      .sort((x, y) => y - x)
      .slice(0, 100);
  assert.deepEqual(
    byPeers.map(({ count }) => count),
    ranked(({ seeders, leechers }) => seeders + leechers),
  );
  assert.deepEqual(
    bySeeders.map(({ count }) => count),
    ranked(({ seeders }) => seeders),
  );
  assert.equal(Buffer.from(bySeeders[0]!.infoHash).readUInt32BE(), 0x126);
});
