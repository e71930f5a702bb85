import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { heapGrowth } from "../../../test/support/heap-growth.ts";
import { AnnounceResponse } from "../../bittorrent/announce.ts";
import { ClientError } from "../../bittorrent/client-error.ts";
import { PeerList } from "../../bittorrent/peer-list.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { invalidPeerId } from "./errors.ts";
import { MessageKind } from "./message.ts";
import {
  mostOverhead,
  mostScrapeEntry,
  mostText,
  writeAnnounceResponse,
  writeFailure,
  writeRelayed,
  writeScrapeResponse,
} from "./write.ts";

const out = new Uint8Array(16_384);
const response = new AnnounceResponse(new PeerList(4, new Uint8Array(0)), new PeerList(6, new Uint8Array(0)));
/** Every byte that has a form of its own, and the binary string that a client must read. */
const awkward = Uint8Array.of(
  0,
  1,
  0x1f,
  0x20,
  0x22,
  0x2f,
  0x5c,
  0x7f,
  0x80,
  0xbf,
  0xc0,
  0xff,
  10,
  13,
  8,
  9,
  12,
  0x61,
  0x41,
  0x30,
);
const plain = Buffer.from("-WW0208-b1MA+4jFmk7Y");

function text(start: number, end: number): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(out.subarray(start, end));
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

test("the response to an announce has what each client reads", () => {
  response.reset(120, 60);
  response.complete = 3;
  response.incomplete = 4_294_967_295;
  response.snatches = 7;
  const end = writeAnnounceResponse(out, 5, plain, response);
  assert.equal(
    text(5, end),
    `{"action":"announce","interval":120,"info_hash":"${latin1(plain)}","complete":3,"incomplete":4294967295,"downloaded":7}`,
  );
  response.warning = 'say "ü"\n';
  const parsed = JSON.parse(text(5, writeAnnounceResponse(out, 5, awkward, response)));
  assert.deepEqual([parsed["warning message"], parsed.info_hash], ['say "ü"\n', latin1(awkward)]);
});

test("an interval is an integer, which libtorrent insists on", () => {
  for (const interval of [0, 1, 119.5, 86_400, 4_294_967_295]) {
    response.reset(interval, 0);
    assert.match(text(0, writeAnnounceResponse(out, 0, plain, response)), /"interval":\d+,/);
    const end = writeFailure(out, 0, MessageKind.announce, invalidPeerId, plain, interval);
    assert.match(text(0, end), /"interval":\d+\}/);
  }
});

test("relayed offers and answers are written anew around the SDP", () => {
  const sdp = Buffer.from('xx"v=0\\r\\n\u00fc\\u0000"yy');
  const end = writeRelayed(
    out,
    9,
    "offer",
    plain,
    plain,
    Buffer.concat([plain, plain]),
    20,
    sdp,
    2,
    sdp.length - 2,
  );
  const id = latin1(plain);
  assert.equal(
    text(9, end),
    `{"action":"announce","offer":{"type":"offer","sdp":"v=0\\r\\n\u00fc\\u0000"},"offer_id":"${id}","peer_id":"${id}","info_hash":"${id}"}`,
  );
  const answerEnd = writeRelayed(out, 9, "answer", awkward, plain, plain, 0, sdp, 2, sdp.length - 2);
  assert.deepEqual(JSON.parse(text(9, answerEnd)), {
    action: "announce",
    answer: { type: "answer", sdp: "v=0\r\n\u00fc\0" },
    offer_id: id,
    peer_id: id,
    info_hash: latin1(awkward),
  });
});

test("a failure names its torrent, so that libtorrent keeps the connection", () => {
  const failure = (kind: MessageKind, error: ClientError, infoHash?: Uint8Array) =>
    JSON.parse(text(0, writeFailure(out, 0, kind, error, infoHash, 120)));
  assert.deepEqual(failure(MessageKind.announce, invalidPeerId, awkward), {
    action: "announce",
    "failure reason": "failed to provide valid peer_id",
    info_hash: latin1(awkward),
    interval: 120,
  });
  assert.deepEqual(failure(MessageKind.scrape, invalidPeerId), {
    action: "scrape",
    "failure reason": "failed to provide valid peer_id",
    interval: 120,
  });
  const text1 = 'a "quoted" \ud800 \u2028\n';
  assert.equal(
    failure(MessageKind.answer, new ClientError(text1), plain)["failure reason"],
    text1.toWellFormed(),
  );
});

test("a long text is cut, never within a character or an escape", () => {
  for (const [from, character] of [
    ["x".repeat(2000), "x"],
    ["\u{1f600}".repeat(2000), "\u{1f600}"],
    ["\u0001".repeat(2000), "\u0001"],
  ] as const) {
    const end = writeFailure(out, 0, MessageKind.announce, new ClientError(from), awkward, 4_294_967_295);
    assert.ok(end <= mostOverhead + mostText);
    const reason: string = JSON.parse(text(0, end))["failure reason"];
    assert.ok(reason.length > 150 && reason.length < 1100, `${reason.length}`);
    assert.equal(reason.replaceAll(character, "").replace("\ufffd", ""), "");
  }
});

test("the response to a scrape has each torrent", () => {
  const request = new ScrapeRequest(3);
  const counts = new ScrapeResponse(3);
  counts.reset(3);
  assert.equal(text(0, writeScrapeResponse(out, 0, request, counts)), '{"action":"scrape","files":{}}');
  request.add(plain, 0);
  request.add(awkward, 0);
  counts.set(1, 1, 4_294_967_295, 3, 1);
  const end = writeScrapeResponse(out, 3, request, counts);
  assert.ok(end - 3 <= mostOverhead + 2 * mostScrapeEntry);
  assert.deepEqual(JSON.parse(text(3, end)), {
    action: "scrape",
    files: {
      [latin1(plain)]: { complete: 0, incomplete: 0, downloaded: 0 },
      [latin1(awkward)]: { complete: 1, incomplete: 4_294_967_295, downloaded: 3 },
    },
  });
});

test("any id is read back, and fits the room that the writers ask for", () => {
  const bytes = fc.uint8Array({ minLength: 20, maxLength: 20 });
  const sdp = Buffer.from('"v=0"');
  fc.assert(
    fc.property(bytes, bytes, bytes, (infoHash, peerId, offerId) => {
      const end = writeRelayed(out, 0, "offer", infoHash, peerId, offerId, 0, sdp, 0, sdp.length);
      assert.ok(end <= mostOverhead + sdp.length);
      const json = text(0, end);
      const parsed = JSON.parse(json);
      assert.deepEqual(
        [parsed.info_hash, parsed.peer_id, parsed.offer_id],
        [latin1(infoHash), latin1(peerId), latin1(offerId)],
      );
    }),
    { seed: 1, numRuns: 2000 },
  );
  const zeros = new Uint8Array(20);
  const end = writeRelayed(out, 0, "answer", zeros, zeros, zeros, 0, sdp, 0, sdp.length);
  assert.ok(end <= mostOverhead + sdp.length, "the longest form of all ids");
});

test("a hundred thousand responses, offers and failures leave nothing behind", () => {
  response.reset(120, 60);
  response.warning = "soon";
  const sdp = new Uint8Array(Buffer.from(`"${"v=0".repeat(200)}"`));
  const write = () => {
    let at = writeAnnounceResponse(out, 0, awkward, response);
    for (let i = 0; i < 3; i++)
      at = writeRelayed(out, at, "offer", awkward, awkward, awkward, 0, sdp, 0, sdp.length);
    at = writeRelayed(out, at, "answer", awkward, awkward, awkward, 0, sdp, 0, sdp.length);
    writeFailure(out, at, MessageKind.announce, invalidPeerId, awkward, 120);
  };
  heapGrowth(20_000, write);
  const grown = heapGrowth(100_000, write);
  assert.ok(grown < 1, `the heap has grown by ${grown} bytes`);
});
