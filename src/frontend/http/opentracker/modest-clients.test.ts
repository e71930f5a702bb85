import assert from "node:assert/strict";
import { test } from "node:test";
import { seededKeys } from "../../../../test/support/seeded-keys.ts";
import { Address } from "../../../ip/address.ts";
import { createRandom } from "../../../lib/clock.ts";
import { hashKeys } from "../../../lib/keyed-hash.ts";
import { ModestClients } from "./modest-clients.ts";

function threads(count: number) {
  const clock = { seconds: 1000 };
  const memory = new SharedArrayBuffer(ModestClients.bytes);
  // Fixed keys: for some draws, two of 20,000 clients are one for the table.
  new Int32Array(memory).set(seededKeys(hashKeys(4), createRandom(1)));
  const clients = Array.from({ length: count }, () => new ModestClients(clock, memory));
  return { clock, take: (thread: number, address: string) => clients[thread]!.take(Address.parse(address)) };
}

test("all threads count the scrapes of a client together", () => {
  const { clock, take } = threads(3);
  assert.equal(take(0, "192.0.2.1"), 0);
  assert.deepEqual(
    [take(0, "192.0.2.1"), take(1, "192.0.2.1"), take(2, "::ffff:192.0.2.1")],
    [300, 300, 300],
  );
  assert.deepEqual([take(1, "192.0.2.2"), take(0, "192.0.2.2")], [0, 300]);
  clock.seconds += 299;
  assert.equal(take(2, "192.0.2.1"), 1);
  clock.seconds += 1;
  assert.deepEqual([take(2, "192.0.2.1"), take(0, "192.0.2.1")], [0, 300]);
});

test("a /64 of IPv6 is one client", () => {
  const { take } = threads(2);
  assert.equal(take(0, "2001:db8::1"), 0);
  assert.equal(take(1, "2001:db8::ffff:1"), 300);
  assert.equal(take(1, "2001:db8:0:1::1"), 0);
});

test("among more clients than fit, the newest are remembered", () => {
  const { clock, take } = threads(1);
  for (let n = 0; n < 20_000; n++) {
    if (n % 100 === 0) clock.seconds++;
    assert.equal(take(0, `10.1.${n >> 8}.${n & 255}`), 0);
    assert.notEqual(take(0, `10.1.${n >> 8}.${n & 255}`), 0);
  }
});
