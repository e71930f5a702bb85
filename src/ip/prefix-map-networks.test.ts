import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "../lib/clock.ts";
import { Address } from "./address.ts";
import { parseNetwork } from "./networks.ts";
import { PrefixMapBuilder } from "./prefix-map.ts";
import { hasNetwork, listNetworks } from "./prefix-map-networks.ts";

function mapOf(networks: readonly string[]) {
  const builder = new PrefixMapBuilder();
  for (const text of networks) {
    const { address, prefix } = parseNetwork(text);
    builder.add(address, prefix, prefix);
  }
  return builder.build();
}

function listed(networks: readonly string[]): string[] {
  return [...listNetworks(mapOf(networks), (value) => value)].map(
    ({ address, prefix }) => `${address}/${prefix}`,
  );
}

test("networks come in the order of their addresses, neighbours and nests apart", () => {
  const networks = [
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.0.1.0/24",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "192.0.2.0/24",
    "192.0.3.0/24",
    "255.255.255.255/32",
    "2001:db8::/32",
    "2001:db9::/32",
    "2001:db9::1/128",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
  ];
  // The first address decides where both begin.
  const order = [...networks];
  [order[0], order[1], order[2]] = ["10.0.0.0/24", "10.0.1.0/24", "10.0.0.0/8"];
  assert.deepEqual(listed(networks), order);
  assert.deepEqual(listed([]), []);
  assert.deepEqual(listed(["0.0.0.0/0", "::/0"]), ["0.0.0.0/0", "::/0"]);
  assert.deepEqual(
    listed(["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"]),
    ["0.0.0.0/1", "128.0.0.0/1"],
    "covered",
  );
});

test("a network is found as it was added, whatever is inside and around it", () => {
  const random = createRandom(7);
  for (let round = 0; round < 200; round++) {
    const networks = new Set<string>();
    for (let n = 0; n < 12; n++) {
      const address = new Address();
      const prefix = 24 + (random.next() % 9);
      address.set(4, new Uint8Array([192, 0, 2, (random.next() % 256) & (0xff << (32 - prefix))]), 0);
      networks.add(`${address}/${prefix}`);
    }
    const map = mapOf([...networks]);
    const found = listed([...networks]);
    assert.equal(new Set(found).size, found.length, "none twice");
    for (const text of found) {
      assert.ok(networks.has(text), text);
      const network = parseNetwork(text);
      assert.equal(hasNetwork(map, network, network.prefix), true, text);
    }
    for (let last = 0; last < 256; last++) {
      const address = Address.parse(`192.0.2.${last}`);
      const prefix = map.find(address);
      if (prefix < 0) continue;
      const first = last & (0xff << (32 - prefix)) & 0xff;
      assert.ok(found.includes(`192.0.2.${first}/${prefix}`), `what decides about ${address}`);
    }
    const absent = parseNetwork("192.0.3.0/24");
    assert.equal(hasNetwork(map, absent, 24), false);
  }
});
