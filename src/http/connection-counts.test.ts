import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseNetworks } from "../../test/support/chosen-networks.ts";
import { seededKeys } from "../../test/support/seeded-keys.ts";
import { Address, networkKeys } from "../ip/address.ts";
import { createRandom } from "../lib/clock.ts";
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
    const random = createRandom(1);
    const chosen = chooseNetworks(Address.parse(victim), 64);
    const draws = 2000;
    let shared = 0;
    for (let draw = 0; draw < draws; draw++) {
      const counts = new ConnectionCounts(seededKeys(networkKeys, random));
      for (const address of chosen) counts.add(address);
      shared += counts.add(Address.parse(victim)) - 1;
    }
    // By chance a network shares the counter of the victim for one draw of 4,096; with the keys in use, for two at most.
    assert.ok(
      shared <= (3 / 4096) * draws * chosen.length,
      `${shared} connections of others in ${draws} draws`,
    );
  });
}
