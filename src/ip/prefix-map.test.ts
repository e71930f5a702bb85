import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "../lib/clock.ts";
import { Address } from "./address.ts";
import { parseNetwork } from "./networks.ts";
import { PrefixMap, PrefixMapBuilder } from "./prefix-map.ts";

function build(networks: Record<string, number>): PrefixMap {
  const builder = new PrefixMapBuilder();
  for (const [text, value] of Object.entries(networks)) {
    const { address, prefix } = parseNetwork(text);
    builder.add(address, prefix, value);
  }
  return builder.build();
}

function find(map: PrefixMap, address: string): number {
  return map.find(Address.parse(address));
}

test("the longest prefix that has the address wins", () => {
  const map = build({
    "10.0.0.0/8": 1,
    "10.1.0.0/16": 2,
    "10.1.2.0/24": 3,
    "10.1.2.3": 4,
    "192.0.2.0/24": 5,
    "2001:db8::/32": 6,
    "2001:db8:1::/48": 7,
    "2001:db8:1::8/125": 8,
  });
  for (const [address, value] of [
    ["9.255.255.255", -1],
    ["10.0.0.0", 1],
    ["10.0.255.255", 1],
    ["10.1.0.0", 2],
    ["10.1.2.2", 3],
    ["10.1.2.3", 4],
    ["10.1.2.4", 3],
    ["10.1.3.0", 2],
    ["10.2.0.0", 1],
    ["11.0.0.0", -1],
    ["192.0.1.255", -1],
    ["192.0.2.255", 5],
    ["192.0.3.0", -1],
    ["2001:db7:ffff::", -1],
    ["2001:db8::", 6],
    ["2001:db8:1::7", 7],
    ["2001:db8:1::f", 8],
    ["2001:db8:1::10", 7],
    ["2001:db8:2::", 6],
    ["2001:db9::", -1],
  ] as const) {
    assert.equal(find(map, address), value, address);
  }
});

test("networks at the ends of the address space", () => {
  const all = build({ "0.0.0.0/0": 1, "::/0": 2, "255.255.255.255": 3, "ffff::/16": 4, "128.0.0.0/1": 5 });
  for (const [address, value] of [
    ["0.0.0.0", 1],
    ["127.255.255.255", 1],
    ["128.0.0.0", 5],
    ["255.255.255.254", 5],
    ["255.255.255.255", 3],
    ["::", 2],
    ["fffe:ffff::", 2],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 4],
  ] as const) {
    assert.equal(find(all, address), value, address);
  }
  assert.equal(find(build({}), "192.0.2.1"), -1);
  assert.equal(find(build({}), "2001:db8::1"), -1);
});

test("bits beyond the prefix are ignored, and the last value of a repeated network wins", () => {
  const builder = new PrefixMapBuilder();
  builder.add(Address.parse("10.1.2.3"), 8, 1);
  builder.add(Address.parse("10.0.0.0"), 8, 2);
  builder.add(Address.parse("2001:db8::ffff"), 33, 3);
  const map = builder.build();
  assert.equal(find(map, "10.200.0.1"), 2);
  assert.equal(find(map, "2001:db8:7fff::"), 3);
  assert.equal(find(map, "2001:db8:8000::"), -1);
});

test("a random map finds what a linear search finds", () => {
  for (const family of [4, 6] as const) {
    const random = createRandom(family);
    const bits = family === 4 ? 32 : 128;
    // Few distinct bytes, so that networks nest and touch.
    const draw = () => {
      const bytes = Uint8Array.from({ length: 16 }, () => [0, 1, 127, 128, 255][random.next() % 5]!);
      const address = new Address();
      address.set(family, bytes, 0);
      return address;
    };
    const shares = (a: Address, b: Address, prefix: number) => {
      for (let bit = 0; bit < prefix; bit++) {
        if (((a.bytes[bit >> 3]! ^ b.bytes[bit >> 3]!) & (0x80 >> (bit & 7))) !== 0) return false;
      }
      return true;
    };
    const written = new Int32Array(PrefixMap.words(60));
    for (let round = 0; round < 30; round++) {
      const builder = new PrefixMapBuilder();
      const networks = Array.from({ length: random.next() % 60 }, (_, index) => ({
        address: draw(),
        prefix: random.next() % (bits + 1),
        value: index % 7,
      }));
      for (const { address, prefix, value } of networks) builder.add(address, prefix, value);
      for (const _ of builder.write(written));
      const other = PrefixMap.in(written);
      const map = new PrefixMap(structuredClone(builder.build().memory));
      for (let time = 0; time < 200; time++) {
        const address = draw();
        let best = { prefix: -1, value: -1 };
        for (const network of networks) {
          if (network.prefix >= best.prefix && shares(network.address, address, network.prefix))
            best = network;
        }
        assert.equal(map.find(address), best.value, `${address}, round ${round}`);
        assert.equal(other.find(address), best.value, `${address}, round ${round}, written`);
      }
    }
  }
});

test("a large map, which has an index, finds what a linear search finds", () => {
  for (const family of [4, 6] as const) {
    const builder = new PrefixMapBuilder();
    const address = new Address();
    address.family = family;
    // 10,000 networks of 20 bits with gaps between them, and the addresses on either side of each network.
    const at = (n: number) => {
      const bits = Math.round(n * 26) + 7;
      address.bytes.set([bits >> 12, (bits >> 4) & 0xff, (bits & 0xf) << 4]);
      return address;
    };
    for (let n = 0; n < 10_000; n++) builder.add(at(n), 20, n);
    const map = builder.build();
    const value = family === 4 ? map.memory.ranges4 : map.memory.ranges6;
    assert.ok(value.index.length > 0);
    for (let n = 0; n < 10_000; n++) {
      assert.equal(map.find(at(n)), n);
      address.bytes[2]! |= 0xf;
      address.bytes[3] = 0xff;
      assert.equal(map.find(address), n, "its end");
      assert.equal(map.find(at(n + 1 / 26)), -1, "behind it");
      address.bytes[3] = 0;
    }
    address.bytes.fill(0xff, 0, family === 4 ? 4 : 16);
    assert.equal(map.find(address), -1);
    address.bytes.fill(0);
    assert.equal(map.find(address), -1);
  }
});

test("a look-up ends whatever the memory holds, for example while another thread writes the map", () => {
  const random = createRandom(5);
  const words = new Int32Array(PrefixMap.words(5000));
  const builder = new PrefixMapBuilder();
  for (let i = 0; i < 5000; i++) builder.add(Address.parse(`10.${i >> 8}.${i & 255}.0`), 24, i % 2);
  for (const _ of builder.write(words));
  const map = PrefixMap.in(words);
  for (let at = 4; at < words.length; at++) words[at] = random.next();
  for (let i = 0; i < 100; i++) map.find(Address.parse(`${1 + i}.${i}.0.1`));
});
