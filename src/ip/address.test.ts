import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createRandom } from "../lib/clock.ts";
import { Address, hexDigit, networkKeys, parseAddress, parseAddressText } from "./address.ts";

const seed = 20_240_601;

function parse(text: string): string | undefined {
  const address = new Address();
  return parseAddressText(text, address) ? `${address}` : undefined;
}

/** Formats an IPv6 address as a browser does (RFC 5952). An IPv4-mapped address is IPv4 here. */
function canonicalIPv6(text: string): string {
  const host = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(host);
  if (!mapped) return host;
  const [high, low] = [Number.parseInt(mapped[1]!, 16), Number.parseInt(mapped[2]!, 16)];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

describe("address text", () => {
  const valid: [string, string][] = [
    ["0.0.0.0", "0.0.0.0"],
    ["1.2.3.4", "1.2.3.4"],
    ["255.255.255.255", "255.255.255.255"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["2001:DB8::ABCD", "2001:db8::abcd"],
    // RFC 5952 section 4: leading zeros, the longest run, the first of equal runs, no run of one
    ["2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["0:0:1:0:0:0:0:0", "0:0:1::"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
    ["1:2:3::6:7:8", "1:2:3::6:7:8"],
    // Embedded quads
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
    ["::1.2.3.4", "::102:304"],
    // IPv4-mapped ones are IPv4
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["::FFFF:102:304", "1.2.3.4"],
    ["0:0:0:0:0:ffff:0:0", "0.0.0.0"],
    ["::fffe:1.2.3.4", "::fffe:102:304"],
    ["::ffff:0:1.2.3.4", "::ffff:0:102:304"],
    // Zones are dropped
    ["fe80::1%eth0", "fe80::1"],
    ["fe80::1%1", "fe80::1"],
    ["::ffff:1.2.3.4%lo", "1.2.3.4"],
  ];
  for (const [text, expected] of valid) {
    test(`${text} is ${expected}`, () => assert.equal(parse(text), expected));
  }

  const hostile = [
    ...[
      "",
      " ",
      ".",
      "...",
      "1",
      "1.2.3",
      "1.2.3.4.",
      ".1.2.3.4",
      "1..3.4",
      "1.2.3.4.5",
      "256.1.1.1",
      "1.2.3.256",
    ],
    ...[
      "01.2.3.4",
      "1.2.3.04",
      "00.0.0.0",
      "1.2.3.-4",
      "+1.2.3.4",
      "0x1.2.3.4",
      "1.2.3.4 ",
      " 1.2.3.4",
      "1.2.3.4\n",
    ],
    ...[
      "1.2.3.4:80",
      "[::1]",
      "[::1]:80",
      "1.2.3.4%eth0",
      "1.2.3.4%:",
      "99999999999.1.1.1",
      "1.2.3.4\0",
      "localhost",
    ],
    ...[
      ":",
      ":::",
      "::::",
      "1",
      "1:",
      ":1",
      "1:2",
      ":1::",
      "1:::2",
      "::1::",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "::12345",
    ],
    ...["1:2:3:4:5:6:7:", ":2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::"],
    ...[
      "::1:2:3:4:5:6:7:8",
      "1:2:3:4::5:6:7:8",
      "1:2:3:4:5:6:7:1.2.3.4",
      "::1.2.3",
      "::1.2.3.4:5",
      "1.2.3.4::",
    ],
    ...[
      "::1.2.3.256",
      "::01.2.3.4",
      "::g",
      "::1 ",
      " ::1",
      "::1/64",
      "::-1",
      "fe80::1%",
      "%::1",
      "%",
      "::%",
      "::1\0",
    ],
    ...["１.2.3.4", "1.2.3.٤", "::ａ", `${"0".repeat(60)}::1`, ":".repeat(64), "1.".repeat(40), "::\u0100"],
  ];
  for (const text of hostile) {
    test(`${JSON.stringify(text)} is not an address`, () => {
      assert.equal(parse(text), undefined);
      assert.throws(() => Address.parse(text), RangeError);
    });
  }

  test("the parser agrees with node:net and with URL on anything that looks like an address", () => {
    const piece = fc.constantFrom(
      "0",
      "1",
      "00",
      "ff",
      "FFFF",
      "1234",
      "255",
      "256",
      ":",
      ":",
      "::",
      ".",
      ".",
      "g",
    );
    const text = fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join(""));
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          fc.ipV4(),
          fc.ipV6(),
          fc.ipV6().map((ip) => ip.toUpperCase()),
        ),
        (ip) => {
          const kind = isIP(ip);
          const expected = kind === 0 ? undefined : kind === 4 ? ip : canonicalIPv6(ip);
          assert.equal(parse(ip), expected);
        },
      ),
      { seed, numRuns: 20_000 },
    );
  });

  test("any address survives being written and read", () => {
    const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
    const sparse = fc
      .tuple(bytes, bytes)
      .map(([value, mask]) => value.map((byte, i) => (mask[i]! < 160 ? 0 : byte)));
    fc.assert(
      fc.property(fc.oneof(bytes, sparse), fc.constantFrom(4, 6), (value, family) => {
        const address = new Address();
        address.set(family, value, 0);
        const again = Address.parse(`${address}`);
        assert.ok(again.equals(address));
        assert.deepEqual(again.bytes, address.bytes);
        if (address.family === 6) assert.equal(`${address}`, canonicalIPv6(`${address}`));
        assert.equal(isIP(`${address}`), address.family);
      }),
      { seed, numRuns: 5000 },
    );
  });
});

describe("address", () => {
  test("a range of bytes is parsed, whatever is around it", () => {
    const bytes = Buffer.from("9.1.2.3.4,::1;");
    const address = new Address();
    assert.equal(parseAddress(bytes, 2, 9, address), true);
    assert.equal(`${address}`, "1.2.3.4");
    assert.equal(parseAddress(bytes, 10, 13, address), true);
    assert.equal(`${address}`, "::1");
    assert.equal(parseAddress(bytes, 10, 10, address), false);
  });

  test("a text that is not an address leaves the object unchanged", () => {
    const address = Address.parse("2001:db8::1");
    for (const text of ["", "1.2.3", "1.2.3.4.5", "1:2:3", "::1::", "1:2:3:4:5:6:7:8:9", "::1.2.3.456"]) {
      assert.equal(parseAddressText(text, address), false, text);
      assert.equal(`${address}`, "2001:db8::1", text);
    }
  });

  test("setting an address clears the previous one", () => {
    const address = Address.parse("2001:db8:1:2:3:4:5:6");
    address.set(4, Uint8Array.of(9, 1, 2, 3, 4, 9), 1);
    assert.equal(address.family, 4);
    assert.deepEqual([...address.bytes], [1, 2, 3, 4, ...new Array(12).fill(0)]);
    assert.deepEqual([...address.words.subarray(1)], [0, 0, 0]);
    assert.ok(address.equals(Address.parse("1.2.3.4")));
  });

  test("a mapped address is IPv4 from whichever offset it comes", () => {
    const bytes = new Uint8Array(19).fill(0);
    bytes.set([0xff, 0xff, 10, 0, 0, 1], 13);
    const address = new Address();
    address.set(6, bytes, 3);
    assert.deepEqual([address.family, `${address}`], [4, "10.0.0.1"]);
  });

  test("equality needs the family and every byte", () => {
    const address = Address.parse("2001:db8::1");
    const copy = new Address();
    copy.copyFrom(address);
    assert.ok(copy.equals(address));
    for (let i = 0; i < 16; i++) {
      copy.copyFrom(address);
      copy.bytes[i] = copy.bytes[i]! ^ 1;
      assert.equal(copy.equals(address), false, `byte ${i}`);
    }
    const zero6 = Address.parse("::");
    assert.equal(zero6.equals(new Address()), false, "0.0.0.0 and ::");
  });

  const usable: [string, boolean][] = [
    ["0.0.0.0", false],
    ["0.1.2.3", false],
    ["1.0.0.0", true],
    ["10.0.0.1", true],
    ["127.0.0.1", true],
    ["192.168.1.1", true],
    ["223.255.255.255", true],
    ["224.0.0.1", false],
    ["239.1.1.1", false],
    ["239.255.255.255", false],
    ["240.0.0.0", true],
    ["255.0.0.1", true],
    ["255.255.255.254", true],
    ["255.255.255.255", false],
    ["0.255.255.255", false],
    ["::ffff:224.0.0.1", false],
    ["::ffff:240.0.0.1", true],
    ["::ffff:255.255.255.255", false],
    ["::ffff:0.0.0.0", false],
    ["::", false],
    ["::1", true],
    ["0:0:0:1::", true],
    ["fe80::1", true],
    ["fd00::1", true],
    ["2001:db8::1", true],
    ["ff02::1", false],
    ["ff00::", false],
  ];
  for (const [text, expected] of usable) {
    test(`${text} is ${expected ? "" : "not "}usable`, () => {
      assert.equal(Address.parse(text).isUsable(), expected);
    });
  }

  test("a network's hash is that of an IPv4 address, or of 64 bits of IPv6, and depends on the keys", () => {
    const random = createRandom(1);
    const keys = Int32Array.from({ length: 3 * networkKeys }, () => random.next());
    const hash = (text: string, at = 0) => Address.parse(text).hashNetwork(keys, at);
    assert.equal(hash("2001:db8::1"), hash("2001:db8::ffff:1:2:3"));
    const texts = ["192.0.2.1", "c000:201::", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "2001:db8:1::1"];
    const hashes = texts.flatMap((text) => [0, 1, 2].map((part) => hash(text, part * networkKeys)));
    assert.equal(new Set(hashes).size, 18);
    const buckets = new Set(Array.from({ length: 256 }, (_, i) => hash(`10.0.0.${i}`) >>> 20));
    assert.ok(buckets.size > 200, `neighbours share ${buckets.size} of 4,096 counters`);
  });

  test("hexadecimal digits of either case, and nothing else", () => {
    for (let code = 0; code < 256; code++) {
      const digit = Number.parseInt(String.fromCharCode(code), 16);
      assert.equal(hexDigit(code), Number.isNaN(digit) ? -1 : digit, `code ${code}`);
    }
  });
});
