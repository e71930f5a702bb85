import assert from "node:assert/strict";
import { test } from "node:test";
import { Address } from "../../ip/address.ts";
import { PacketWriter, PeerFlag, type ReceivedPeer, readPacket } from "./packet.ts";

const a = "41".repeat(20);
const b = "42".repeat(20);
/** The packets of opentracker, in hexadecimal. */
const packet4 = `deadbeef00000000${a}c0000207c8d5c000${b}c000020800098000`;
const packet6 = `deadbeef00000001${a}20010db8000000000000000000000007c8d52000`;

function read(hex: string, trackerId = 1) {
  const peer: ReceivedPeer = { infoHash: new Uint8Array(20), address: new Address(), port: 0, flags: 0 };
  const seen: string[] = [];
  const problem = readPacket(
    Buffer.from(hex, "hex"),
    trackerId,
    peer,
    ({ infoHash, address, port, flags }) => {
      seen.push(`${Buffer.from(infoHash)} ${address} ${port} ${flags.toString(16)}`);
    },
  );
  return problem ?? seen;
}

test("a packet has opentracker's bytes", () => {
  const writer = new PacketWriter(4, 0xdeadbeef);
  assert.ok(writer.isEmpty);
  const flags = PeerFlag.seeder | PeerFlag.completed;
  writer.add(Buffer.alloc(20, "A"), Address.parse("192.0.2.7"), 51_413, flags);
  writer.add(Buffer.alloc(20, "B"), Address.parse("192.0.2.8"), 9, PeerFlag.seeder);
  assert.equal(writer.take().toString("hex"), packet4);
  assert.ok(writer.isEmpty);
  const writer6 = new PacketWriter(6, 0xdeadbeef);
  writer6.add(Buffer.alloc(20, "A"), Address.parse("2001:db8::7"), 51_413, PeerFlag.stopped);
  assert.equal(writer6.take().toString("hex"), packet6);
});

test("a packet is read", () => {
  assert.deepEqual(read(packet4), [
    `${"A".repeat(20)} 192.0.2.7 51413 c0`,
    `${"B".repeat(20)} 192.0.2.8 9 80`,
  ]);
  assert.deepEqual(read(packet6), [`${"A".repeat(20)} 2001:db8::7 51413 20`]);
});

test("a packet holds as many records as opentracker's", () => {
  for (const [family, records] of [
    [4, 51],
    [6, 36],
  ] as const) {
    const writer = new PacketWriter(family, 1);
    let count = 0;
    while (!writer.isFull) {
      writer.add(new Uint8Array(20), Address.parse(family === 4 ? "192.0.2.7" : "2001:db8::7"), 9, 0);
      count++;
    }
    assert.equal(count, records);
    assert.ok(writer.take().length <= 1452);
  }
});

test("packets that are not whole, of another type, or the tracker's own are dropped", () => {
  assert.equal(read(packet4, 0xdeadbeef), "own");
  assert.equal(read(packet4.replace("deadbeef00000000", "deadbeef00000002")), "type");
  assert.equal(read(packet4.replace("deadbeef00000000", "deadbeef80000000")), "type");
  for (let length = 0; length < packet4.length; length += 2) {
    const isWhole = length === 16 + 56;
    if (!isWhole) assert.equal(read(packet4.slice(0, length)), "malformed", `${length}`);
  }
  assert.equal(read(`${packet6}00`), "malformed");
});
