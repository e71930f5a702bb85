import assert from "node:assert/strict";
import { test } from "node:test";
import { Address } from "./address.ts";
import { Networks, parseNetwork, readNetwork } from "./networks.ts";

const rows: [network: string, address: string, contains: boolean][] = [
  ["10.0.0.0/8", "10.255.0.1", true],
  ["10.0.0.0/8", "11.0.0.0", false],
  ["192.0.2.128/25", "192.0.2.128", true],
  ["192.0.2.128/25", "192.0.2.127", false],
  ["192.0.2.7", "192.0.2.7", true],
  ["192.0.2.7", "192.0.2.6", false],
  ["0.0.0.0/0", "255.255.255.255", true],
  ["0.0.0.0/0", "2001:db8::1", false],
  ["::/0", "2001:db8::1", true],
  ["::/0", "192.0.2.7", false],
  ["2001:db8::/32", "2001:db8:ffff::", true],
  ["2001:db8::/32", "2001:db9::", false],
  ["2001:db8::8/125", "2001:db8::f", true],
  ["2001:db8::8/125", "2001:db8::10", false],
  ["::1", "::1", true],
  ["::1", "::2", false],
  ["::ffff:10.0.0.0/104", "10.9.8.7", true],
  ["::ffff:10.0.0.0/104", "11.9.8.7", false],
  ["::ffff:0:0/96", "203.0.113.9", true],
];

test("a network contains exactly the addresses with its prefix", () => {
  for (const [network, address, contains] of rows) {
    assert.equal(
      Networks.parse([network]).contains(Address.parse(address)),
      contains,
      `${network} ${address}`,
    );
  }
});

test("a list contains what any of its networks contains, an empty one nothing", () => {
  const list = Networks.parse(["192.0.2.0/24", "2001:db8::/32", "127.0.0.1"]);
  assert.equal(list.size, 3);
  assert.ok(list.contains(Address.parse("127.0.0.1")));
  assert.ok(list.contains(Address.parse("2001:db8::5")));
  assert.ok(!list.contains(Address.parse("127.0.0.2")));
  assert.ok(!Networks.parse([]).contains(Address.parse("127.0.0.1")));
});

test("a text that is not a network is refused with a reason", () => {
  const refusals: [text: string, message: RegExp][] = [
    ["", /not a network: "".*write 10\.0\.0\.0\/8/],
    ["localhost", /not a network: "localhost"/],
    ["10.0.0/8", /not a network/],
    [" 10.0.0.0/8", /not a network/],
    ["10.0.0.0/", /prefix of "10\.0\.0\.0\/" must be 0 to 32/],
    ["10.0.0.0/33", /must be 0 to 32/],
    ["10.0.0.0/-1", /must be 0 to 32/],
    ["10.0.0.0/08", /must be 0 to 32/],
    ["10.0.0.0/8/8", /must be 0 to 32/],
    ["2001:db8::/129", /must be 0 to 128/],
    ["::ffff:10.0.0.0/95", /must be 96 to 128/],
    ["10.1.2.3/8", /bits beyond its prefix; write 10\.0\.0\.0\/8/],
    ["2001:db8::1/32", /write 2001:db8::\/32/],
    ["fe80::1%eth0/64", /no zone/],
  ];
  for (const [text, message] of refusals) {
    assert.throws(() => Networks.parse(["127.0.0.1", text]), { name: "RangeError", message }, text);
    assert.equal(read(text), "none", text);
  }
});

/** Returns what {@link readNetwork} reads from `text` when other bytes surround the text. */
function read(text: string): string {
  const bytes = new TextEncoder().encode(`7${text}7`);
  const address = new Address();
  const prefix = readNetwork(bytes, 1, bytes.length - 1, address);
  return prefix < 0 ? "none" : `${address}/${prefix}`;
}

test("a network parses the same from bytes as from text", () => {
  for (const [text] of rows) {
    const { address, prefix } = parseNetwork(text);
    assert.equal(read(text), text.startsWith("::ffff:") ? "none" : `${address}/${prefix}`, text);
  }
});
