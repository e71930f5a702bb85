import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { parseTorrentFile, withAnnounce } from "./torrent-file.ts";

const info =
  "d6:lengthi3e4:name3:\xff\xe9x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaa7:privatei1ee";
const before = "13:announce-listll1:aee7:comment2:hi";
const file = Buffer.from(`d8:announce1:a${before}4:info${info}8:url-list1:we`, "latin1");
const url = "http://t/announce?jwt=x";

test("the tracker is replaced, and all else keeps its bytes", () => {
  const torrent = parseTorrentFile(file);
  assert.deepEqual(torrent.infoHash, createHash("sha1").update(info, "latin1").digest());
  const expected = `d8:announce23:${url}7:comment2:hi4:info${info}8:url-list1:we`;
  assert.equal(withAnnounce(torrent, url).toString("latin1"), expected);
});

test("a torrent without a tracker gets one", () => {
  const torrent = parseTorrentFile(Buffer.from(`d1:A0:4:info${info}e`, "latin1"));
  assert.equal(withAnnounce(torrent, url).toString("latin1"), `d1:A0:8:announce23:${url}4:info${info}e`);
});

test("of a version 2 torrent the first twenty bytes of its SHA-256 are announced", () => {
  const v2 = "d9:file treed4:\xc3\xa9.xd0:d6:lengthi3eeee12:meta versioni2e4:name1:xe";
  const torrent = parseTorrentFile(Buffer.from(`d4:info${v2}e`, "latin1"));
  assert.deepEqual(torrent.infoHash, createHash("sha256").update(v2, "latin1").digest().subarray(0, 20));
});

for (const text of ["", "x", "d4:infoi1ee", "de", "le", `d4:info${info}`]) {
  test(`${JSON.stringify(text.slice(0, 20))} is none`, () => {
    assert.throws(() => parseTorrentFile(Buffer.from(text, "latin1")));
  });
}
