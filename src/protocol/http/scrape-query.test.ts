import assert from "node:assert/strict";
import { test } from "node:test";
import { ScrapeRequest } from "../../bittorrent/scrape.ts";
import { parseScrapeQuery } from "./scrape-query.ts";

const request = new ScrapeRequest(3);

function parse(query: string): string | undefined {
  const bytes = Buffer.from(query, "latin1");
  return parseScrapeQuery(bytes, 0, bytes.length, request)?.message;
}

function infoHashes(): string[] {
  return Array.from({ length: request.count }, (_, i) => Buffer.from(request.infoHash(i)).toString("latin1"));
}

const a = "a".repeat(20);
const b = "b".repeat(20);

test("infohashes are collected in order, and infohashes beyond the maximum are dropped", () => {
  const table: [query: string, wanted: string[]][] = [
    [`info_hash=${a}`, [a]],
    [`x=1&info_hash=${a}&left=%20&info_hash=${b}`, [a, b]],
    [`info_hash=${a}&info_hash=${a}`, [a, a]],
    [`info_hash=${b}&info_hash=${a}&info_hash=${b}&info_hash=${a}`, [b, a, b]],
    [`info_hash=${"%61".repeat(20)}`, [a]],
    [`info_hash=${"+".repeat(20)}`, ["+".repeat(20)]],
  ];
  for (const [query, wanted] of table) {
    assert.equal(parse(query), undefined, query);
    assert.deepEqual(infoHashes(), wanted, query);
  }
});

test("a scrape forgets the hidden infohashes of the previous scrape", () => {
  assert.equal(parse(`info_hash=${a}`), undefined);
  request.hide(0);
  assert.equal(parse(`info_hash=${a}`), undefined);
  assert.equal(request.isHidden(0), false);
});

test("errors have Chihaya's texts", () => {
  const table: [query: string, error: string][] = [
    ["", "no info_hash parameter supplied"],
    [`INFO_HASH=${a}`, "no info_hash parameter supplied"],
    [`info_hash=${a}x`, "provided invalid infohash"],
    [`info_hash=${a}&info_hash=`, "provided invalid infohash"],
    [`info_hash=${a}&x=%2`, "invalid query escape"],
    [`info_hash=x&y=%`, "provided invalid infohash"],
    [`info_hash=${a}${"&a=b".repeat(65)}`, "invalid query"],
  ];
  for (const [query, error] of table) assert.equal(parse(query), error, query);
});
