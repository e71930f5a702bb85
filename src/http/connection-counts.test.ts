import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseNetworks } from "../../test/support/chosen-networks.ts";
import { Address } from "../ip/address.ts";
import { ConnectionCounts } from "./connection-counts.ts";

test("connections of an address, or of an IPv6 network of 64 bits, are counted", () => {
  const counts = new ConnectionCounts();
  const address = (text: string) => Address.parse(text);
  assert.equal(counts.add(address("192.0.2.1")), 1);
  assert.equal(counts.add(address("192.0.2.1")), 2);
  counts.remove(address("192.0.2.1"));
  assert.equal(counts.add(address("192.0.2.1")), 2);
});

for (const victim of ["192.0.2.1", "2001:db8:1:2::1"]) {
  test(`nobody can choose networks that share the counter of ${victim}`, () => {
    const counts = new ConnectionCounts();
    for (const address of chooseNetworks(Address.parse(victim), 64)) counts.add(address);
    const count = counts.add(Address.parse(victim));
    assert.ok(count < 10, `${count} connections of one`); // by chance one of 4,096 counters is shared
  });
}
