import assert from "node:assert/strict";
import { test } from "node:test";
import { heapGrowth } from "../../../test/support/heap-growth.ts";
import { AnnounceRequest } from "../../bittorrent/announce.ts";
import { eventName } from "../../bittorrent/event.ts";
import { toHex } from "../../bittorrent/info-hash.ts";
import { ScrapeRequest } from "../../bittorrent/scrape.ts";
import { MessageKind, WebMessage } from "./message.ts";
import { readMessage } from "./read-message.ts";

const limits = { maxOffers: 10, maxSdpBytes: 16_384 };
const message = new WebMessage(new AnnounceRequest(), new ScrapeRequest(3));
const most = 2n ** 64n - 1n;

const infoHash = "a".repeat(20);
const peerId = "-WW0208-b1MA+4jFmk7Y";
const head = { action: "announce", info_hash: infoHash, peer_id: peerId };

/** Reads a message in the middle of other bytes; returns the error's text. */
function read(json: string | Uint8Array, using = limits): string | undefined {
  const text = typeof json === "string" ? Buffer.from(json) : json;
  const bytes = Uint8Array.from([...Buffer.from('{"'), ...text, ...Buffer.from('"}]')]);
  return readMessage(bytes, 2, 2 + text.length, message, using)?.message;
}

function readFields(fields: Record<string, unknown>): string | undefined {
  return read(JSON.stringify({ ...head, ...fields }));
}

/** Returns the offers as the reader has left them: id and SDP token. */
function offers(): [id: string, sdp: string][] {
  return Array.from({ length: message.offers }, (_, i) => [
    latin1(message.offerIds.subarray(20 * i, 20 * i + 20)),
    sdp(i),
  ]);
}

function sdp(index: number): string {
  return Buffer.from(message.bytes.subarray(message.sdpStarts[index], message.sdpEnds[index])).toString();
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

function id(index: number): string {
  return `offer-${index}`.padEnd(20, ".");
}

function offer(index: number, text = `v=0\r\no=${index}`) {
  return { offer: { type: "offer", sdp: text }, offer_id: id(index) };
}

test("announces of real clients are read, whatever the order of their keys", () => {
  const table: [
    client: string,
    json: string,
    event: string,
    left: bigint,
    numWant: number,
    offers: number,
  ][] = [
    [
      "webtorrent, before it has metadata",
      `{"numwant":2,"uploaded":0,"downloaded":0,"left":null,"event":"started","action":"announce","info_hash":"${infoHash}","peer_id":"${peerId}","offers":[${JSON.stringify(offer(0))},${JSON.stringify(offer(1))}]}`,
      "started",
      most,
      2,
      2,
    ],
    [
      "libtorrent",
      `{"action":"announce","info_hash":"${infoHash}","uploaded":0,"downloaded":0,"corrupt":0,"left":16384,"event":"completed","numwant":10,"key":"0BADF00D","peer_id":"${peerId}","offers":[{"offer":{"sdp":"v=0\\r\\n","type":"offer"},"offer_id":"${id(0)}"}]}`,
      "completed",
      16_384n,
      1,
      1,
    ],
    [
      "anacrolix, again",
      `{"action":"announce","numwant":1,"uploaded":0,"downloaded":0,"left":-1,"event":"<regular>","info_hash":"${infoHash}","peer_id":"${peerId}","offers":[${JSON.stringify(offer(0))}]}\n`,
      "none",
      most,
      1,
      1,
    ],
    [
      "anacrolix, at the end",
      `{"action":"announce","numwant":1,"uploaded":0,"downloaded":0,"left":0,"event":"stopped","info_hash":"${infoHash}","peer_id":"${peerId}","offers":null}`,
      "stopped",
      0n,
      0,
      0,
    ],
    [
      "Trystero, with an encrypted SDP",
      JSON.stringify({ ...head, numwant: 3, offers: [offer(0, "q83vEjRWeJA=,AAAA")] }),
      "none",
      most,
      1,
      1,
    ],
  ];
  for (const [client, json, event, left, numWant, count] of table) {
    assert.equal(read(json), undefined, client);
    const { announce } = message;
    assert.deepEqual(
      [
        message.kind,
        message.hasInfoHash,
        eventName(announce.event),
        announce.left,
        announce.numWant,
        message.offers,
      ],
      [MessageKind.announce, true, event, left, numWant, count],
      client,
    );
    assert.deepEqual([latin1(announce.infoHash), latin1(announce.peerId)], [infoHash, peerId], client);
  }
});

test("an answer needs the id of an offer and an SDP", () => {
  const answer = { type: "answer", sdp: "v=0\r\nü" };
  const fields = { answer, offer_id: id(7), to_peer_id: peerId };
  assert.equal(readFields(fields), undefined);
  assert.equal(message.kind, MessageKind.answer);
  assert.equal(sdp(0), '"v=0\\r\\nü"');
  assert.equal(latin1(message.offerIds.subarray(0, 20)), id(7));
  assert.equal(readFields({ ...fields, to_peer_id: undefined }), undefined, "nobody reads to_peer_id");
  assert.equal(readFields({ ...fields, offers: [offer(1)] }), undefined);
  assert.equal(latin1(message.offerIds.subarray(0, 20)), id(7), "an answer has no offers");
  for (const bad of [
    { answer: 5 },
    { answer: "v=0" },
    { answer: [] },
    { answer: false },
    { answer: {} },
    { answer: { sdp: 1 } },
    { offer_id: undefined },
    { offer_id: 7 },
    { offer_id: "" },
    { offer_id: "x".repeat(19) },
    { offer_id: "x".repeat(21) },
    { offer_id: `${"x".repeat(19)}\u0100` },
    { answer: { type: "answer", sdp: "x".repeat(20_000) } },
  ]) {
    assert.equal(readFields({ ...fields, ...bad }), "invalid answer", JSON.stringify(bad).slice(0, 80));
    assert.deepEqual([message.kind, message.hasInfoHash], [MessageKind.answer, true]);
  }
  assert.equal(readFields({ ...fields, answer: null }), undefined);
  assert.equal(message.kind, MessageKind.announce, "a null answer is none");
});

test("a scrape has one infohash or several, each once", () => {
  const table: [value: unknown, error: string | undefined, hashes: string[], hasInfoHash: boolean][] = [
    [infoHash, undefined, [infoHash], true],
    [[], undefined, [], false],
    [[infoHash], undefined, [infoHash], false],
    [[infoHash, id(1), infoHash], undefined, [infoHash, id(1)], false],
    [[id(1), id(2), id(3), id(4)], undefined, [id(1), id(2), id(3)], false],
    [undefined, "no info_hash parameter supplied", [], false],
    ["short", "provided invalid infohash", [], false],
    [7, "provided invalid infohash", [], false],
    [null, "provided invalid infohash", [], false],
    [{}, "provided invalid infohash", [], false],
    [[infoHash, 7], "provided invalid infohash", [infoHash], false],
    [[[infoHash]], "provided invalid infohash", [], false],
  ];
  for (const [value, error, hashes, hasInfoHash] of table) {
    const name = JSON.stringify(value);
    assert.equal(read(JSON.stringify({ info_hash: value, action: "scrape" })), error, name);
    const { scrape } = message;
    assert.deepEqual(
      [
        message.kind,
        message.hasInfoHash,
        Array.from({ length: scrape.count }, (_, i) => latin1(scrape.infoHash(i))),
      ],
      [MessageKind.scrape, hasInfoHash, hashes],
      name,
    );
  }
});

test("a refused message says which torrent it is about, if that is known", () => {
  const table: [fields: Record<string, unknown>, error: string, hasInfoHash: boolean][] = [
    [{ action: undefined }, "unknown action", true],
    [{ action: "update" }, "unknown action", true],
    [{ action: "Announce" }, "unknown action", true],
    [{ action: 1, info_hash: undefined }, "unknown action", false],
    [{ action: ["announce"] }, "unknown action", true],
    [{ info_hash: undefined }, "no info_hash parameter supplied", false],
    [{ info_hash: "" }, "provided invalid infohash", false],
    [{ info_hash: "a".repeat(40) }, "provided invalid infohash", false],
    [{ info_hash: `${"a".repeat(19)}\u0100` }, "provided invalid infohash", false],
    [{ info_hash: [infoHash] }, "provided invalid infohash", false],
    [{ peer_id: undefined }, "failed to parse parameter: peer_id", true],
    [{ peer_id: null }, "failed to provide valid peer_id", true],
    [{ peer_id: "" }, "failed to provide valid peer_id", true],
    [{ peer_id: `${peerId}x` }, "failed to provide valid peer_id", true],
  ];
  for (const [fields, error, hasInfoHash] of table) {
    assert.equal(readFields(fields), error, JSON.stringify(fields));
    assert.equal(message.hasInfoHash, hasInfoHash, JSON.stringify(fields));
  }
});

test("ids may have every form of escape", () => {
  const bytes = Uint8Array.of(
    0,
    8,
    9,
    10,
    12,
    13,
    0x1f,
    0x20,
    0x22,
    0x2f,
    0x5c,
    0x3c,
    0x7f,
    0x80,
    0x9f,
    0xbf,
    0xc0,
    0xe9,
    0xff,
    0x41,
  );
  const forms = [
    '\\u0000\\b\\t\\n\\f\\r\\u001F \\"/\\\\<\x7f\u0080\u009f\u00bf\u00c0\u00e9\u00ffA',
    [...bytes].map((byte) => `\\u00${byte.toString(16).padStart(2, "0")}`).join(""),
    [...bytes].map((byte) => `\\u00${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
    JSON.stringify(latin1(bytes)).slice(1, -1).replace("/", "\\/"),
    JSON.stringify(latin1(bytes)).slice(1, -1).replace("<", "\\u003c"),
  ];
  for (const form of forms) {
    const text = `"${form}"`;
    assert.equal(
      read(
        `{"action":"announce","info_hash":${text},"peer_id":${text},"offers":[{"offer":{"sdp":""},"offer_id":${text}}]}`,
      ),
      undefined,
      form,
    );
    for (const read of [message.announce.infoHash, message.announce.peerId, message.offerIds.subarray(0, 20)])
      assert.equal(toHex(read), toHex(bytes), form);
  }
  assert.equal(
    read(`{"\\u0061ction":"\\u0061nnounce","info\\u005fhash":"${infoHash}","peer_id":"${peerId}"}`),
    undefined,
  );
});

test("only the number 0 in `left` is a seeder", () => {
  const table: [json: string, left: bigint][] = [
    ["0", 0n],
    ["1", 1n],
    ["4294967296", 2n ** 32n],
    ["9223372036854775807", 2n ** 63n - 1n],
    ["18446744073709551615", most],
    ["9".repeat(400), most],
    ...["-0", "0.0", "0e5", "0E0", "-1", "1.5", "1e3", "null", '"0"', '""', "false", "[]", "{}", "[0]"].map(
      (json): [string, bigint] => [json, most],
    ),
  ];
  for (const [json, left] of table) {
    const text = `{"left":${json},"uploaded":${json},"downloaded":${json},${JSON.stringify(head).slice(1)}`;
    assert.equal(read(text), undefined, json);
    const { announce } = message;
    assert.deepEqual([announce.left, announce.isSeeder], [left, json === "0"], json);
    const isCount = /^\d+$/.test(json);
    assert.deepEqual([announce.uploaded, announce.downloaded], isCount ? [left, left] : [0n, 0n], json);
  }
  assert.equal(readFields({}), undefined);
  assert.equal(message.announce.left, most, "nothing is left from the message before");
});

test("unknown events are none", () => {
  const table: [value: unknown, event: string][] = [
    ["started", "started"],
    ["completed", "completed"],
    ["stopped", "stopped"],
    ["paused", "paused"],
    ["STOPPED", "stopped"],
    ...[
      "",
      "<regular>",
      "empty",
      "update",
      "none",
      "started ",
      "stopped\0",
      "x".repeat(99),
      "\u0100",
      1,
      null,
      [],
      {},
    ].map((value): [unknown, string] => [value, "none"]),
  ];
  for (const [value, event] of table) {
    assert.equal(readFields({ event: value }), undefined);
    assert.equal(eventName(message.announce.event), event, JSON.stringify(value));
  }
});

test("numwant is a cap if it is a number, and never a reason for none", () => {
  const five = [0, 1, 2, 3, 4].map((index) => offer(index));
  for (const [numwant, expected] of [
    ["2", 2],
    ["0", 0],
    ["50", 5],
    ["9".repeat(400), 5],
    ...["-1", "null", '"3"', "1.5", "1e0", "[]", "true"].map((json) => [json, 5] as const),
  ] as const) {
    const json = `{"numwant":${numwant},${JSON.stringify({ ...head, offers: five }).slice(1)}`;
    assert.equal(read(json), undefined);
    assert.equal(message.announce.numWant, expected, numwant);
  }
  assert.equal(readFields({ offers: five }), undefined);
  assert.equal(message.announce.numWant, 5);
  assert.equal(readFields({ offers: five, event: "stopped" }), undefined);
  assert.equal(message.announce.numWant, 0, "a client that leaves meets nobody");
  assert.equal(read(JSON.stringify({ ...head, offers: five }), { ...limits, maxOffers: 3 }), undefined);
  assert.deepEqual([message.announce.numWant, message.offers], [3, 5]);
});

test("elements of `offers` that are no offers are skipped", () => {
  for (const none of [null, {}, { length: 1e9 }, "x", 7, true, []]) {
    assert.equal(readFields({ offers: none }), undefined);
    assert.deepEqual([message.offers, message.invalidOffers], [0, 0], JSON.stringify(none));
  }
  const bad: unknown[] = [
    null,
    7,
    "x",
    [],
    {},
    { offer: null, offer_id: id(1) },
    { offer: "v=0", offer_id: id(1) },
    { offer: { type: "offer" }, offer_id: id(1) },
    { offer: { type: "offer", sdp: 7 }, offer_id: id(1) },
    { offer: { type: "offer", sdp: { sdp: "x" } }, offer_id: id(1) },
    { offer: { sdp: "x" } },
    { offer: { sdp: "x" }, offer_id: "short" },
    { offer: { sdp: "x" }, offer_id: `${id(1)}x` },
    { offer: { sdp: "x" }, offer_id: `${"x".repeat(19)}\u{1f600}` },
    { offer: { sdp: "x".repeat(16_383) }, offer_id: id(1) },
  ];
  assert.equal(readFields({ offers: [offer(1), ...bad, offer(2)] }), undefined);
  assert.deepEqual(offers(), [
    [id(1), '"v=0\\r\\no=1"'],
    [id(2), '"v=0\\r\\no=2"'],
  ]);
  assert.equal(message.invalidOffers, bad.length);
  const most = Array.from({ length: 500 }, (_, i) => offer(i));
  assert.equal(readFields({ offers: most }), undefined);
  assert.deepEqual([message.offers, message.invalidOffers, message.announce.numWant], [20, 0, 10]);
  assert.equal(
    readFields({ offers: [{ extra: [1], ...offer(3), offer: { type: 7, sdp: "", more: {} } }] }),
    undefined,
  );
  assert.deepEqual(offers(), [[id(3), '""']], "unknown keys do not matter");
});

test("what a parser of a client may refuse is malformed", () => {
  const valid = JSON.stringify({ ...head, offers: [offer(1)] });
  const announce = JSON.stringify(head).slice(1);
  const sdpOf = (token: string) => `{"offers":[{"offer_id":"${id(1)}","offer":{"sdp":${token}}}],${announce}`;
  const raw = (...bytes: number[]) => {
    const [before, after] = sdpOf('"^"').split("^");
    return Uint8Array.from([...Buffer.from(before!), ...bytes, ...Buffer.from(after!)]);
  };
  const nested = (depth: number) => `{"x":${"[".repeat(depth)}${"]".repeat(depth)},${announce}`;
  const keys = (count: number) =>
    `{${Array.from({ length: count }, (_, i) => `"k${i}":${i}`).join()},${announce}`;
  const accepted = [
    valid,
    ` \t\r\n${valid} \n`,
    sdpOf('"\\ud83d\\ude00\\uD83D\\uDE00\u{1f600}\\u0000\u2028\\u2028"'),
    raw(0xed, 0x9f, 0xbf),
    raw(0xf4, 0x8f, 0xbf, 0xbf),
    nested(7),
    keys(61),
    `{"__proto__":{"action":1},"constructor":null,"":[],"é":"",${announce}`,
    `{"x":1,"x":2,${announce}`,
  ];
  for (const json of accepted) assert.equal(read(json), undefined, json.toString().slice(0, 200));
  const refused: (string | Uint8Array)[] = [
    "",
    " ",
    "{",
    "}",
    "[]",
    "null",
    '"announce"',
    "7",
    `\ufeff${valid}`,
    `${valid}x`,
    `${valid}${valid}`,
    `[${valid}]`,
    valid.slice(0, -1),
    `{,${announce}`,
    `{"x":1,,${announce}`,
    `${valid.slice(0, -1)},}`,
    `{"x" 1,${announce}`,
    `{'x':1,${announce}`,
    `{x:1,${announce}`,
    `{1:1,${announce}`,
    `{"x":[1,],${announce}`,
    `{"x":[,1],${announce}`,
    `{"x":[1 2],${announce}`,
    `{"x":[1},${announce}`,
    `{"x":\u00a01,${announce}`,
    `{/**/${announce}`,
    ...[
      "01",
      "-",
      "+1",
      ".5",
      "1.",
      "1.e1",
      "1e",
      "1e+",
      "0x0",
      "00",
      "-01",
      "Infinity",
      "NaN",
      "nul",
      "nulll",
      "True",
    ].flatMap((value) => [
      `{"left":${value},${announce}`,
      `{"numwant":${value},${announce}`,
      `{"x":[${value}],${announce}`,
    ]),
    ...[
      '"\\ud800"',
      '"\\udc00"',
      '"\\ud800\\ud800"',
      '"\\ud800x"',
      '"\\udc00\\ud800"',
      '"\\uD83D\u{1f600}"',
      '"\\ud83d',
    ].map(sdpOf),
    ...['"\\x"', '"\\u12"', '"\\u12g4"', '"\\U0041"', '"\\"', '"\n"', '"\t"', '"\0"', '"\x1f"', "'x'"].map(
      sdpOf,
    ),
    raw(0x80),
    raw(0xc0, 0x80),
    raw(0xc1, 0xbf),
    raw(0xe0, 0x9f, 0xbf),
    raw(0xed, 0xa0, 0x80),
    raw(0xf0, 0x8f, 0xbf, 0xbf),
    raw(0xf4, 0x90, 0x80, 0x80),
    raw(0xf5, 0x80, 0x80, 0x80),
    raw(0xff),
    raw(0xc3),
    raw(0xe2, 0x82),
    raw(0xf0, 0x9f, 0x98),
    nested(8),
    nested(100_000),
    `{"x":${'{"x":'.repeat(8)}1${"}".repeat(8)},${announce}`,
    keys(62),
  ];
  for (const json of refused) {
    const name = json.toString().slice(0, 200);
    assert.equal(read(json), "malformed message", name);
    assert.equal(message.hasInfoHash, false, name);
  }
});

test("a key may not come twice", () => {
  const names = [
    "action",
    "info_hash",
    "peer_id",
    "left",
    "event",
    "numwant",
    "offers",
    "answer",
    "offer_id",
    "to_peer_id",
  ];
  for (const name of [...names, "uploaded", "downloaded"]) {
    const escaped = `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
    for (const second of [name, escaped]) {
      const json = `{"${name}":null,"x":1,"${second}":null}`;
      assert.equal(read(json), "malformed message", json);
    }
  }
  const id20 = JSON.stringify(id(1));
  for (const element of [
    `{"offer":{"sdp":"a","sdp":"b"},"offer_id":${id20}}`,
    `{"offer":{"sdp":"a","s\\u0064p":"b"},"offer_id":${id20}}`,
    `{"offer":{"type":"a","sdp":"b","type":"c"},"offer_id":${id20}}`,
    `{"offer":{"sdp":"a"},"offer":{"sdp":"b"},"offer_id":${id20}}`,
    `{"offer_id":${id20},"offer":{"sdp":"b"},"offer_id":${id20}}`,
  ]) {
    assert.equal(
      read(`{"offers":[${element}],${JSON.stringify(head).slice(1)}`),
      "malformed message",
      element,
    );
  }
  assert.equal(
    readFields({ answer: { sdp: "x", type: "answer" }, offer_id: id(1) }),
    undefined,
    "each in its own object",
  );
});

test("a detached message outlives the bytes of the network", () => {
  const json = Buffer.from(`xxx${JSON.stringify({ ...head, offers: [offer(1), offer(2)] })}xxx`);
  assert.equal(readMessage(json, 3, json.length - 3, message, limits), undefined);
  const before = offers();
  message.detach();
  json.fill(0);
  assert.deepEqual(offers(), before);
});

test("a hundred thousand announces leave nothing behind", () => {
  const bytes = new Uint8Array(
    Buffer.from(
      JSON.stringify({
        ...head,
        left: 5,
        event: "started",
        offers: Array.from({ length: 10 }, (_, i) => offer(i)),
      }),
    ),
  );
  let refused = 0;
  const announce = () => {
    if (readMessage(bytes, 0, bytes.length, message, limits) !== undefined) refused++;
  };
  heapGrowth(20_000, announce);
  const grown = heapGrowth(100_000, announce);
  assert.equal(refused, 0);
  assert.ok(grown < 1, `the heap has grown by ${grown} bytes an announce`);
});
