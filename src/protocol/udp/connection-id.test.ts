import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Address } from "../../ip/address.ts";
import { ConnectionIds } from "./connection-id.ts";

const key = Uint8Array.from({ length: 16 }, (_, i) => i);
const address = Address.parse("1.2.3.4");
const epoch = 1_700_000_000; // the first second of a slot

function idOf(ids: ConnectionIds, address: Address, unixSeconds: number): DataView {
  const view = new DataView(new ArrayBuffer(8));
  ids.write(view, 0, address, unixSeconds);
  return view;
}

function hex(view: DataView): string {
  return view.getBigUint64(0).toString(16).padStart(16, "0");
}

describe("connection ids", () => {
  // A second implementation, on 64-bit integers, computed these from the rule in the docstring.
  const golden = [
    { key, ip: "1.2.3.4", at: epoch, id: "187aebe00b4acc00" },
    { key, ip: "1.2.3.4", at: epoch + 39, id: "187aebe00b4acc00" },
    { key, ip: "1.2.3.4", at: epoch + 40, id: "42a7acbd58b5bb81" },
    { key, ip: "2001:db8::1", at: epoch, id: "c98a39e6c9f1d4a0" },
    { key, ip: "255.255.255.255", at: 2 ** 40, id: "d621a663ae795ee6" },
    { key, ip: "2001:db8::1", at: 2 ** 40, id: "7b114843ac44bf66" },
    { key: new Uint8Array(16).fill(255), ip: "127.0.0.1", at: 0, id: "e54c3d57faeb6c80" },
  ];
  for (const { key, ip, at, id } of golden) {
    test(`for ${ip} at ${at} is ${id}`, () => {
      assert.equal(hex(idOf(new ConnectionIds(key, 0), Address.parse(ip), at)), id);
    });
  }

  test("are valid for 600 seconds from any moment of their slot, and never for 640", () => {
    for (let offset = 0; offset < 40; offset++) {
      const ids = new ConnectionIds(key, 0);
      const made = epoch + offset;
      const id = idOf(ids, address, made);
      for (let age = 0; age <= 600; age++) assert.ok(ids.isValid(id, 0, address, made + age), `age ${age}`);
      for (let age = 640; age < 3000; age++) {
        assert.equal(ids.isValid(id, 0, address, made + age), false, `age ${age}`);
      }
    }
  });

  test("end at the turn of a slot", () => {
    const ids = new ConnectionIds(key, 0);
    const id = idOf(ids, address, epoch);
    assert.ok(ids.isValid(id, 0, address, epoch + 639));
    assert.equal(ids.isValid(id, 0, address, epoch + 640), false);
  });

  test("from the future are valid up to the clock skew before their slot", () => {
    const rows = [
      { skew: 0, ahead: 0, valid: true },
      { skew: 0, ahead: 1, valid: false },
      { skew: 10, ahead: 10, valid: true },
      { skew: 10, ahead: 11, valid: false },
      { skew: 41, ahead: 41, valid: true },
      { skew: 41, ahead: 42, valid: false },
      { skew: 128, ahead: 128, valid: true },
      { skew: 128, ahead: 129, valid: false },
      { skew: 1e9, ahead: 640, valid: true },
      { skew: 1e9, ahead: 641, valid: false },
    ];
    for (const { skew, ahead, valid } of rows) {
      const ids = new ConnectionIds(key, skew);
      const id = idOf(ids, address, epoch);
      assert.equal(ids.isValid(id, 0, address, epoch - ahead), valid, `skew ${skew}, ahead ${ahead}`);
    }
  });

  test("of a tracker whose clock is within the skew are valid at any moment", () => {
    const ids = new ConnectionIds(key, 10);
    for (let now = epoch; now < epoch + 40; now++) {
      for (let ahead = 0; ahead <= 10; ahead++) {
        assert.ok(
          ids.isValid(idOf(ids, address, now + ahead), 0, address, now),
          `${ahead} s ahead at ${now}`,
        );
      }
    }
  });

  test("obey a new clock skew", () => {
    const ids = new ConnectionIds(key, 0);
    const id = idOf(ids, address, epoch + 40);
    assert.equal(ids.isValid(id, 0, address, epoch), false);
    ids.setMaxClockSkew(40);
    assert.ok(ids.isValid(id, 0, address, epoch));
  });

  test("are accepted by other instances with the same key only", () => {
    const id = idOf(new ConnectionIds(key, 0), address, epoch);
    assert.ok(new ConnectionIds(key, 0).isValid(id, 0, address, epoch + 60));
    assert.equal(new ConnectionIds(new Uint8Array(16), 0).isValid(id, 0, address, epoch + 60), false);
  });

  test("are the same for an IPv4-mapped address and the IPv4 address", () => {
    const ids = new ConnectionIds(key, 0);
    const mapped = Address.parse("::ffff:1.2.3.4");
    assert.equal(hex(idOf(ids, mapped, epoch)), hex(idOf(ids, address, epoch)));
  });

  test("differ between an IPv4 address and the IPv6 address with the same leading bytes", () => {
    const ids = new ConnectionIds(key, 0);
    const id = idOf(ids, Address.parse("102:304::"), epoch);
    assert.equal(ids.isValid(id, 0, address, epoch), false);
  });

  test("are read and written anywhere in a buffer", () => {
    const ids = new ConnectionIds(key, 0);
    const view = new DataView(new ArrayBuffer(32));
    ids.write(view, 13, address, epoch);
    assert.ok(ids.isValid(view, 13, address, epoch));
    assert.equal(ids.isValid(view, 12, address, epoch), false);
  });

  test("are refused after a change of any bit, or for any other address", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ minLength: 4, maxLength: 4 }),
          fc.uint8Array({ minLength: 16, maxLength: 16 }),
        ),
        fc.nat(2 ** 31 - 1),
        fc.nat(63),
        fc.nat(31),
        (ip, at, bit, addressBit) => {
          const ids = new ConnectionIds(key, 128);
          const source = new Address();
          source.set(ip.length === 4 ? 4 : 6, ip, 0);
          const id = idOf(ids, source, at);
          assert.ok(ids.isValid(id, 0, source, at));
          const other = new Address();
          other.copyFrom(source);
          other.bytes[addressBit >> 3]! ^= 1 << (addressBit & 7);
          assert.equal(ids.isValid(id, 0, other, at), false);
          id.setUint8(bit >> 3, id.getUint8(bit >> 3) ^ (1 << (bit & 7)));
          assert.equal(ids.isValid(id, 0, source, at), false);
        },
      ),
      { seed: 15, numRuns: 2000 },
    );
  });

  test("allocate nothing", () => {
    const ids = new ConnectionIds(key, 0);
    const view = new DataView(new ArrayBuffer(8));
    const six = Address.parse("2001:db8::1");
    let valid = 0;
    const run = (count: number) => {
      for (let i = 0; i < count; i++) {
        const source = (i & 1) === 0 ? address : six;
        ids.write(view, 0, source, epoch + (i >> 8));
        if (ids.isValid(view, 0, source, epoch + (i >> 8))) valid++;
      }
    };
    run(200_000); // compiled now
    const before = process.memoryUsage().heapUsed;
    run(200_000);
    const grown = process.memoryUsage().heapUsed - before;
    assert.equal(valid, 400_000);
    assert.ok(grown < 200_000, `the heap has grown by ${grown} bytes`); // less than one byte a call
  });
});
