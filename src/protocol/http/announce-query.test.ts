import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AnnounceRequest } from "../../bittorrent/announce.ts";
import { eventName } from "../../bittorrent/event.ts";
import { toHex } from "../../bittorrent/info-hash.ts";
import { AnnounceExtras, type AnnounceQueryOptions, parseAnnounceQuery } from "./announce-query.ts";

const request = new AnnounceRequest();
const extra = new AnnounceExtras();
const options: AnnounceQueryOptions = { maxNumWant: 100, defaultNumWant: 50, allowIpSpoofing: false };
const spoofing: AnnounceQueryOptions = { ...options, allowIpSpoofing: true };

/** Parses a query in the middle of other bytes; returns the error's text. */
function parse(query: string, using: AnnounceQueryOptions = options): string | undefined {
  const bytes = Uint8Array.from(`a=%${query}0aport=7`, (character) => character.charCodeAt(0));
  return parseAnnounceQuery(bytes, 3, 3 + query.length, request, using, extra)?.message;
}

const infoHash = "78a9cdc07d69b5c0e20f8d3edd04c6542989e52c";
const hash = "info_hash=aaaaaaaaaaaaaaaaaaaa";
const rest = "peer_id=bbbbbbbbbbbbbbbbbbbb&left=3&downloaded=2&uploaded=1&port=6881";
const valid = `${hash}&${rest}`;

/** Returns a valid query with some parameters replaced; an undefined value removes the parameter. */
function query(changes: Record<string, string | undefined>): string {
  const values: Record<string, string | undefined> = {
    info_hash: "aaaaaaaaaaaaaaaaaaaa",
    peer_id: "bbbbbbbbbbbbbbbbbbbb",
    left: "3",
    downloaded: "2",
    uploaded: "1",
    port: "6881",
    ...changes,
  };
  return Object.entries(values)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

test("announces of real clients parse", () => {
  const captured: [
    query: string,
    peerId: string,
    port: number,
    left: bigint,
    numWant: number,
    noPeerId: boolean,
  ][] = [
    [
      "info_hash=x%a9%cd%c0%7di%b5%c0%e2%0f%8d%3e%dd%04%c6T%29%89%e5%2c&peer_id=-TR3000-qk8ru6vj2551&port=51501&uploaded=0&downloaded=0&left=0&numwant=80&key=d1aeca7&compact=1&supportcrypto=1&event=started",
      "-TR3000-qk8ru6vj2551",
      51501,
      0n,
      80,
      false,
    ],
    [
      "info_hash=x%A9%CD%C0%7Di%B5%C0%E2%0F%8D%3E%DD%04%C6T%29%89%E5%2C&peer_id=A2-1-36-0-%15%22%E1%86%93%40%E1%C6%9E4&uploaded=0&downloaded=0&left=3000000&compact=1&key=%E1%86%93%40%E1%C6%9E4&numwant=50&no_peer_id=1&port=51601&event=started&supportcrypto=1",
      'A2-1-36-0-\x15"\xe1\x86\x93@\xe1\xc6\x9e4',
      51601,
      3000000n,
      50,
      true,
    ],
    [
      "info_hash=x%a9%cd%c0%7di%b5%c0%e2%0f%8d%3e%dd%04%c6T)%89%e5%2c&peer_id=-LT2080-cPPJTX1~r-xr&port=52002&uploaded=0&downloaded=0&left=3000000&corrupt=0&key=255BF2EA&event=started&numwant=200&compact=1&no_peer_id=1&supportcrypto=1&redundant=0",
      "-LT2080-cPPJTX1~r-xr",
      52002,
      3000000n,
      100,
      true,
    ],
    [
      "info_hash=x%A9%CD%C0%7Di%B5%C0%E2%0F%8D%3E%DD%04%C6T%29%89%E5%2C&peer_id=-lt0D80-%A9%EE%7Bn%0AB%1D%B0%03%24D%CD&key=1980cc57&compact=1&port=53001&uploaded=0&downloaded=0&left=0&event=started",
      "-lt0D80-\xa9\xee{n\nB\x1d\xb0\x03$D\xcd",
      53001,
      0n,
      50,
      false,
    ],
    [
      "numwant=50&uploaded=0&downloaded=0&left=3000000&event=started&compact=1&info_hash=x%A9%CD%C0%7Di%B5%C0%E2%0F%8D%3E%DD%04%C6T%29%89%E5%2C&peer_id=-WW0208-b1MA%2B4jFmk7Y&port=56002",
      "-WW0208-b1MA+4jFmk7Y",
      56002,
      3000000n,
      50,
      false,
    ],
  ];
  for (const [text, peerId, port, left, numWant, noPeerId] of captured) {
    assert.equal(parse(text), undefined);
    assert.equal(toHex(request.infoHash), infoHash);
    assert.equal(Buffer.from(request.peerId).toString("latin1"), peerId);
    assert.deepEqual(
      [request.port, request.left, request.numWant, extra.noPeerId],
      [port, left, numWant, noPeerId],
    );
    assert.deepEqual([request.uploaded, request.downloaded], [0n, 0n]);
    assert.equal(eventName(request.event), "started");
    assert.equal(request.compact, true);
  }
});

test("errors have Chihaya's texts", () => {
  const table: [query: string, error: string][] = [
    ["", "no info_hash parameter supplied"],
    ["&&&", "no info_hash parameter supplied"],
    [rest, "no info_hash parameter supplied"],
    [`INFO_HASH=aaaaaaaaaaaaaaaaaaaa&${rest}`, "no info_hash parameter supplied"],
    [`info_hash[]=aaaaaaaaaaaaaaaaaaaa&${rest}`, "no info_hash parameter supplied"],
    [`${hash}&${hash}&${rest}`, "multiple info_hash parameters supplied"],
    [`${hash}&${rest}&${hash}`, "multiple info_hash parameters supplied"],
    [query({ info_hash: "" }), "provided invalid infohash"],
    [`info_hash&${rest}`, "provided invalid infohash"],
    [query({ info_hash: "a".repeat(19) }), "provided invalid infohash"],
    [query({ info_hash: "a".repeat(21) }), "provided invalid infohash"],
    [query({ info_hash: infoHash }), "provided invalid infohash"],
    [query({ info_hash: "%0%a" }), "invalid query escape"],
    [`${valid}&x=%`, "invalid query escape"],
    [`${valid}&x=%2`, "invalid query escape"],
    [`${valid}&x=%zz`, "invalid query escape"],
    [`${valid}&x=%u0041`, "invalid query escape"],
    [`${valid}&%zz`, "invalid query escape"],
    [`${valid}&x=%4&left=1`, "invalid query escape"],
    [`${valid}&left=%`, "invalid query escape"],
    [query({ peer_id: undefined }), "failed to parse parameter: peer_id"],
    [query({ peer_id: "" }), "failed to provide valid peer_id"],
    [query({ peer_id: "b".repeat(19) }), "failed to provide valid peer_id"],
    [query({ peer_id: "b".repeat(21) }), "failed to provide valid peer_id"],
    [query({ port: undefined }), "failed to parse parameter: port"],
    ...["", "65536", "-1", "80abc", "9".repeat(400), "+1", "http"].map((bad): [string, string] => [
      query({ port: bad }),
      "failed to parse parameter: port",
    ]),
    [query({ port: "0" }), "invalid port"],
    [query({ port: "0", cryptoport: "0" }), "invalid port"],
    [query({ port: "0", cryptoport: "65536" }), "invalid port"],
    [query({ port: "0", cryptoport: "x" }), "invalid port"],
    [`${"a=b&".repeat(59)}${valid}`, "invalid query"],
  ];
  for (const [text, error] of table) assert.equal(parse(text), error, text);
});

test("64 parameters are allowed", () => {
  assert.equal(parse(`${"a=b&".repeat(58)}${valid}&&&`), undefined);
});

test("errors take precedence in Chihaya's order", () => {
  // Each row mends the first problem of the row before; the first problem in the query wins.
  const steps: [query: string, error: string | undefined][] = [
    ["a=%&info_hash=x&port=0&ip=x", "invalid query escape"],
    ["info_hash=x&a=%&port=0&ip=x", "provided invalid infohash"],
    ["port=0&ip=x", "no info_hash parameter supplied"],
    [`${hash}&${hash}&port=0&ip=x`, "multiple info_hash parameters supplied"],
    [`${hash}&port=0&ip=x`, "failed to parse parameter: peer_id"],
    [`${hash}&peer_id=x&port=0&ip=x`, "failed to provide valid peer_id"],
    [query({ port: "x", ip: "x" }), "failed to parse parameter: port"],
    [query({ port: "0", ip: "0.0.0.0" }), "invalid port"],
    [query({ ip: "0.0.0.0" }), undefined],
  ];
  for (const [text, error] of steps) assert.equal(parse(text, spoofing), error, text);
});

test("events are compared in any case, and unknown ones count as none", () => {
  const table: [value: string | undefined, event: string][] = [
    [undefined, "none"],
    ["", "none"],
    ["none", "none"],
    ["empty", "none"],
    ["notAnEvent", "none"],
    ["+started", "none"],
    ["startedx", "none"],
    ["started", "started"],
    ["STOPPED", "stopped"],
    ["Completed", "completed"],
    ["paused", "paused"],
    ["%73tarted", "started"],
    ["%53%54%41%52%54%45%44", "started"],
  ];
  for (const [value, event] of table) {
    assert.equal(parse(query({ event: value })), undefined);
    assert.equal(eventName(request.event), event, value);
  }
});

test("numwant is defaulted and capped", () => {
  const table: [value: string | undefined, numWant: number][] = [
    [undefined, 50],
    ["", 50],
    ["-1", 50],
    ["-0", 50],
    ["1e999", 50],
    ["NaN", 50],
    ["0", 0],
    ["7", 7],
    ["%37", 7],
    ["100", 100],
    ["101", 100],
    ["4294967295", 100],
    ["4294967296", 100],
    ["9".repeat(400), 100],
  ];
  for (const [value, numWant] of table) {
    assert.equal(parse(query({ numwant: value })), undefined);
    assert.equal(request.numWant, numWant, value);
  }
  assert.equal(parse(valid, { ...options, defaultNumWant: 500 }), undefined);
  assert.equal(request.numWant, 100);
});

const most = 2n ** 64n - 1n;

test("a counter that is not a number is unknown: the peer is a leecher that has transferred nothing", () => {
  for (const bad of [
    undefined,
    "",
    "undefined",
    "null",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e3",
    "0x0",
    "+5",
    "+0",
    "%200",
    "0 ",
    "-",
    "-0",
    "--1",
    "0.0",
    "0,0",
    "%00",
    "٣",
    "0n",
    "%30".repeat(200),
  ]) {
    assert.equal(parse(query({ left: "0", uploaded: "7", downloaded: "7" })), undefined);
    assert.equal(parse(query({ left: bad, uploaded: bad, downloaded: bad })), undefined, bad);
    assert.deepEqual([request.left, request.uploaded, request.downloaded], [most, 0n, 0n], bad);
    assert.equal(request.isSeeder, false, bad);
    assert.equal(parse(query({ left: bad, event: "completed" })), undefined);
    assert.equal(request.isSeeder, true, "a completed peer is a seeder whatever is left");
  }
  assert.equal(
    parse(`${hash}&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1&left`),
    undefined,
    "a name without a value",
  );
  assert.equal(request.left, most);
  assert.equal(parse(query({ left: "0&left=x" })), undefined);
  assert.equal(request.left, most, "the last value wins");
});

test("counters have 64 bits and saturate; negative ones are unknown", () => {
  const table: [text: string, left: bigint, uploaded: bigint][] = [
    ["0", 0n, 0n],
    ["000", 0n, 0n],
    ["-0", most, 0n],
    ["-1", most, 0n],
    [`-${"9".repeat(99)}`, most, 0n],
    ["4294967295", 2n ** 32n - 1n, 2n ** 32n - 1n],
    ["4294967296", 2n ** 32n, 2n ** 32n],
    ["9007199254740993", 2n ** 53n + 1n, 2n ** 53n + 1n],
    ["9223372036854775807", 2n ** 63n - 1n, 2n ** 63n - 1n],
    ["18446744073709551615", most, most],
    ["18446744073709551616", most, most],
    ["184467440737095516150", most, most],
    ["9".repeat(1000), most, most],
    [`${"0".repeat(500)}12`, 12n, 12n],
    ["%31%32", 12n, 12n],
  ];
  for (const [text, left, uploaded] of table) {
    assert.equal(parse(query({ left: text, uploaded: text, downloaded: text })), undefined);
    assert.deepEqual([request.left, request.uploaded, request.downloaded], [left, uploaded, uploaded], text);
    assert.equal(request.isSeeder, left === 0n, text);
  }
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 68n }), (value) => {
      assert.equal(parse(query({ left: `${value}` })), undefined);
      assert.equal(request.left, value > most ? most : value);
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test("compact is the default; 0 and an empty value ask for a list", () => {
  const table: [value: string | undefined, compact: boolean][] = [
    [undefined, true],
    ["1", true],
    ["00", true],
    ["no", true],
    ["0", false],
    ["%30", false],
    ["", false],
  ];
  for (const [value, compact] of table) {
    assert.equal(parse(query({ compact: value })), undefined);
    assert.equal(request.compact, compact, value);
  }
  for (const [value, noPeerId] of [
    [undefined, false],
    ["1", true],
    ["0", false],
    ["", false],
  ] as const) {
    assert.equal(parse(query({ no_peer_id: value })), undefined);
    assert.equal(extra.noPeerId, noPeerId, value);
  }
});

test("a crypto-only client is reached at its cryptoport", () => {
  assert.equal(parse(query({ port: "0", cryptoport: "7777" })), undefined);
  assert.equal(request.port, 7777);
  assert.equal(parse(query({ port: "6881", cryptoport: "7777" })), undefined);
  assert.equal(request.port, 6881);
});

test("addresses in the query count only if spoofing is allowed and the address is usable", () => {
  const given = () => ({
    ...(extra.hasIp && { ip: `${extra.ip}` }),
    ...(extra.hasIpv4 && { ipv4: `${extra.ipv4}` }),
    ...(extra.hasIpv6 && { ipv6: `${extra.ipv6}` }),
  });
  const table: [params: string, expected: object][] = [
    ["", {}],
    ["&ip=1.2.3.4", { ip: "1.2.3.4" }],
    ["&ip=x&ip=1.2.3.4", { ip: "1.2.3.4" }],
    ["&ip=1.2.3.4&ip=x", {}],
    ["&ip=::1", { ip: "::1" }],
    ["&ip=240.0.0.1", { ip: "240.0.0.1" }],
    ["&ipv6=2001%3adb8%3a%3a1", { ipv6: "2001:db8::1" }],
    ["&ipv4=::ffff:1.2.3.4", { ipv4: "1.2.3.4" }],
    ["&ipv6=::ffff:1.2.3.4", {}],
    ["&ipv4=2001:db8::1", {}],
    ["&ipv6=::1&ipv4=1.1.1.1&ip=2.2.2.2", { ip: "2.2.2.2", ipv4: "1.1.1.1", ipv6: "::1" }],
    ["&ipv6=x&ipv4=1.1.1.1", { ipv4: "1.1.1.1" }],
    ...[
      "&ip=",
      "&ip",
      "&ip=host.example",
      "&ip=1.2.3.4:80",
      "&ip=0.0.0.0",
      "&ip=224.0.0.1",
      "&ip=255.255.255.255",
      "&ipv4=0.1.2.3",
      "&ipv6=::",
      "&ipv6=ff02::1",
      "&ipv6=",
    ].map((params): [string, object] => [params, {}]),
  ];
  for (const [params, expected] of table) {
    assert.equal(parse(valid + params, spoofing), undefined, params);
    assert.deepEqual(given(), expected, params);
    assert.equal(parse(valid + params), undefined);
    assert.deepEqual(given(), {});
  }
});

test("the parser leaves address and params of the request alone", () => {
  const other = new AnnounceRequest();
  other.address.set(4, Uint8Array.of(9, 8, 7, 6), 0);
  const bytes = Buffer.from(`${valid}&ip=1.2.3.4`, "latin1");
  assert.equal(parseAnnounceQuery(bytes, 0, bytes.length, other, spoofing, extra), undefined);
  assert.equal(`${other.address}`, "9.8.7.6");
  assert.equal(other.params.query, "");
});

test("names are decoded and compared in any case, and the last value wins", () => {
  assert.equal(
    parse(
      `&&%69nfo_hash=aaaaaaaaaaaaaaaaaaaa&PEER_ID=x&Peer%5Fid=bbbbbbbbbbbbbbbbbbbb&LEFT=x&left=0&left=5&Downloaded=2&uploaded=1&port=x&port=0&pOrt=81&`,
    ),
    undefined,
  );
  assert.deepEqual([request.left, request.port], [5n, 81]);
  for (const extra of [
    "__proto__=1",
    "constructor",
    "toString=",
    "=b?",
    "=",
    "a=b=c",
    "x=%00",
    "info_hash;=1",
    "%6c%65%66%74x=z",
  ]) {
    assert.equal(parse(`${extra}&${valid}`), undefined, extra);
    assert.equal(parse(`${valid}&${extra}`), undefined, extra);
  }
});

test("a plus stays a plus in binary values, and a semicolon does not separate parameters", () => {
  assert.equal(
    parse(query({ info_hash: "++++++++++;;;;;;;;;;", peer_id: "+%2B++++++++;;;;;;;;;;" })),
    undefined,
  );
  assert.equal(Buffer.from(request.infoHash).toString("latin1"), "++++++++++;;;;;;;;;;");
  assert.equal(Buffer.from(request.peerId).toString("latin1"), "++++++++++;;;;;;;;;;");
});

test("binary values decode from any mixture of escapes", () => {
  const binary = fc.array(
    fc.record({ byte: fc.integer({ min: 0, max: 255 }), style: fc.integer({ min: 0, max: 2 }) }),
    { minLength: 20, maxLength: 20 },
  );
  const encode = (bytes: { byte: number; style: number }[]) =>
    bytes
      .map(({ byte, style }) => {
        const hex = `%${byte.toString(16).padStart(2, "0")}`;
        const character = String.fromCharCode(byte);
        if (style === 0 && !"&%".includes(character)) return character;
        return style === 1 ? hex : hex.toUpperCase();
      })
      .join("");
  fc.assert(
    fc.property(binary, binary, (hashBytes, peerBytes) => {
      assert.equal(parse(query({ info_hash: encode(hashBytes), peer_id: encode(peerBytes) })), undefined);
      assert.deepEqual(
        [...request.infoHash],
        hashBytes.map(({ byte }) => byte),
      );
      assert.deepEqual(
        [...request.peerId],
        peerBytes.map(({ byte }) => byte),
      );
    }),
    { seed: 1, numRuns: 1000 },
  );
});

test("arbitrary bytes never throw, and the parser reads nothing beyond the query", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const text = Buffer.from(bytes).toString("latin1");
      assert.equal(parse(text), parseAnnounceQuery(bytes, 0, bytes.length, request, options, extra)?.message);
    }),
    { seed: 1, numRuns: 2000 },
  );
});
