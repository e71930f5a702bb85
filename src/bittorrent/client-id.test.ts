import assert from "node:assert/strict";
import { test } from "node:test";
import { clientId } from "./client-id.ts";

// Facts of Chihaya's table (bittorrent/client_id_test.go), grouped by the style of the peer id.
const azureus = `
  -AZ3034-6wfG2wk6wWLc -AZ3042-6ozMq5q6Q3NX -BS5820-oy4La2MWGEFj -AR6360-6oZyyMWoOOBe -AG2083-s1hiF8vGAAg0
  -AG3003-lEl2Mm4NEO4n -MR1100-00HS~T7*65rm -LK0140-ATIV~nbEQAMr -KT2210-347143496631 -TR0960-6ep6svaa61r4
  -XX1150-dv220cotgj4d -AZ2504-192gwethivju -KT4310-3L4UvarKuqIu -AZ2060-0xJQ02d4309O -BD0300-2nkdf08Jd890
  -A~0010-a9mn9DFkj39J -UT2300-MNu93JKnm930 -UT2300-KT4310KT4301`;
const others: Record<string, string> = {
  "T03A0----f089kjsdf6e": "T03A0-",
  "S58B-----nKl34GoNb75": "S58B--",
  "M4-4-0--9aa757Efd5Bl": "M4-4-0",
  AZ2500BTeYUzyabAfo6U: "AZ2500", // BitTyrant
  exbc0JdSklm834kj9Udf: "exbc0J", // BitComet, old
  FUTB0L84j542mVc84jkd: "FUTB0L", // BitComet, alternative
  "XBT054d-8602Jn83NnF9": "XBT054",
  OP1011affbecbfabeefb: "OP1011", // Opera
  "-ML2.7.2-kgjjfkd9762": "ML2.7.", // MLDonkey
  "-BOWA0C-SDLFJWEIORNM": "BOWA0C", // Bits on Wheels
  "Q1-0-0--dsn34DFn9083": "Q1-0-0", // Queen Bee
  "Q1-10-0-Yoiumn39BDfO": "Q1-10-",
  "346------SDFknl33408": "346---", // TorreTopia
  QVOD0054ABFFEDCCDEDB: "QVOD00",
};
const shorts: Record<string, string> = {
  "": "",
  "-": "",
  "12345": "",
  "-12345": "",
  "123456": "123456",
  "-123456": "123456",
};

test("the client id is six bytes, after a leading dash or from the start", () => {
  const table = azureus
    .trim()
    .split(/\s+/)
    .map((id): [string, string] => [id, id.slice(1, 7)]);
  table.push(...Object.entries(others));
  assert.equal(table.length, 32);
  for (const [peerId, expected] of [...table, ...Object.entries(shorts)]) {
    assert.equal(clientId(Buffer.from(peerId, "latin1")), expected, peerId);
  }
});

test("bytes outside ASCII stay distinct", () => {
  assert.equal(
    clientId(Uint8Array.of(0x2d, 0, 0xff, 0x80, 0x0a, 0xc3, 0xa9, 0x2d)),
    "\x00\xff\x80\x0a\xc3\xa9",
  );
});
