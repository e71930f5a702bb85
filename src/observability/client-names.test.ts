import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientCounter } from "./client-names.ts";
import { Metrics } from "./metrics.ts";

function count(...peerIds: string[]): Record<string, number> {
  const metrics = new Metrics();
  const clients = new ClientCounter(metrics);
  for (const peerId of peerIds) clients.count(Buffer.from(peerId.padEnd(20, "x"), "latin1"));
  const series = metrics.snapshot()[0]?.series ?? [];
  const counted = series.filter(({ values }) => values[0]! > 0); // all begin at 0
  return Object.fromEntries(counted.map(({ labels, values }) => [labels.client, values[0]]));
}

for (const [peerId, client] of [
  // as real clients sent them
  ["-TR3000-qk8ru6vj2551", "Transmission"],
  ["A2-1-36-0-\x15\x22\xe1\x86\x93\x40\xe1\xc6\x9e4", "aria2"],
  ["-LT2080-cPPJTX1~r-xr", "libtorrent"],
  ["-lt0D80-\xa9\xee\x7bn\x0aB\x1d\xb0\x03$D\xcd", "rTorrent"],
  ["-WW0208-b1MA+4jFmk7Y", "WebTorrent"],
  ["-qB4520-", "qBittorrent"],
  ["-DE203s-", "Deluge"],
  ["-UT355W\x1e", "µTorrent"],
  // BEP 20 and other tables
  ["-A~0100-", "Ares"],
  ["-AG0100-", "Ares"],
  ["-ML2.7.2-", "MLDonkey"],
  ["-BOWA0C-", "Bits on Wheels"],
  ["-GT0003-", "anacrolix"],
  ["M4-3-6--", "Mainline"],
  ["M7-10-5-", "Mainline"],
  ["Q1-10-0-", "Queen Bee"],
  ["S58B-----", "Shadow"],
  ["T03A0----", "BitTornado"],
  ["AZ2500BT", "BitTyrant"],
  ["TIX0193-", "Tixati"],
  ["exbc\x00\x38", "BitComet"],
  ["XBT054d-", "XBT Client"],
  ["OP7685f2c1", "Opera"],
  // nobody
  ["-QUAY00-6wfG2wk6wWLc", "other"],
  ["-ZZ0100-", "other"],
  ["-\xc1\xda1234-", "other"],
  ["-A\xdA1234-", "other"],
  ["T03A0xxxx", "other"],
  ["Mx-3-6--", "other"],
  ["OPx", "other"],
  ["\xd4-----------", "other"],
  ["\0".repeat(20), "other"],
  ["\xff".repeat(20), "other"],
  ["-".repeat(20), "other"],
  ["01234567890123456789", "other"],
] as const) {
  test(`${JSON.stringify(peerId)} is ${client}`, () => assert.deepEqual(count(peerId), { [client]: 1 }));
}

test("announces add up by client", () => {
  assert.deepEqual(count("-TR2940-", "-TR4050-", "-qB4520-", "?"), {
    Transmission: 2,
    qBittorrent: 1,
    other: 1,
  });
});

test("labels are bounded, whatever a peer id holds", () => {
  const metrics = new Metrics();
  const clients = new ClientCounter(metrics);
  const peerId = new Uint8Array(20).fill(0x2d);
  for (let a = 0; a < 256; a++) {
    for (let b = 0; b < 256; b++) {
      peerId[1] = a;
      peerId[2] = b;
      clients.count(peerId);
    }
  }
  const series = metrics.snapshot()[0]?.series ?? [];
  assert.ok(series.length > 90 && series.length < 150, `${series.length} series`);
  assert.equal(
    series.reduce((sum, { values }) => sum + values[0]!, 0),
    65_536,
  );
});
