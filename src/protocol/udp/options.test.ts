import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Params } from "../../bittorrent/params.ts";
import { maxUrlDataLength, parseOptions } from "./options.ts";

/** Parses options between other bytes. */
function parse(options: readonly number[]): Params {
  const bytes = new Uint8Array(options.length + 20).fill(0x41);
  bytes.set(options, 10);
  const params = new Params();
  parseOptions(bytes, 10, 10 + options.length, new Uint8Array(maxUrlDataLength), params);
  return params;
}

const ascii = (text: string): number[] => Array.from(text, (character) => character.charCodeAt(0));
const urlData = (text: string): number[] => [2, text.length, ...ascii(text)];

describe("options of BEP 41", () => {
  const rows: { name: string; options: number[]; path: string; query: string }[] = [
    { name: "none", options: [], path: "", query: "" },
    { name: "URL data", options: [2, 5, ...ascii("/?a=b")], path: "/", query: "a=b" },
    { name: "URL data, then the end", options: [...urlData("/?a=b"), 0], path: "/", query: "a=b" },
    { name: "URL data without a query", options: urlData("/announce"), path: "/announce", query: "" },
    { name: "URL data with an empty query", options: urlData("/announce?"), path: "/announce", query: "" },
    { name: "a second question mark", options: urlData("/a?b=c?d"), path: "/a", query: "b=c?d" },
    { name: "empty URL data", options: [2, 0], path: "", query: "" },
    { name: "empty URL data, then some", options: [2, 0, ...urlData("/a")], path: "/a", query: "" },
    { name: "padding", options: [1, 1, ...urlData("/?a=b"), 1], path: "/", query: "a=b" },
    { name: "what follows the end", options: [0, ...urlData("/?a=b")], path: "", query: "" },
    { name: "aria2's two zero bytes", options: [0, 0], path: "", query: "" },
    { name: "split URL data", options: [...urlData("/?a"), ...urlData("=b")], path: "/", query: "a=b" },
    {
      name: "URL data in three parts with padding",
      options: [...urlData("/an"), 1, ...urlData("nounce"), 2, 0, ...urlData("?x=1")],
      path: "/announce",
      query: "x=1",
    },
    { name: "an unknown type", options: [7, 3, 9, 9, 9, ...urlData("/?a=b")], path: "/", query: "a=b" },
    { name: "an unknown type without data", options: [255, 0, ...urlData("/?a=b")], path: "/", query: "a=b" },
    { name: "a missing length", options: [2], path: "", query: "" },
    { name: "a missing length after URL data", options: [...urlData("/?a=b"), 2], path: "/", query: "a=b" },
    { name: "URL data longer than the packet", options: [2, 1], path: "", query: "" },
    { name: "an overrun after URL data", options: [...urlData("/?a=b"), 2, 9, 65], path: "/", query: "a=b" },
    { name: "an overrun of an unknown type", options: [...urlData("/x"), 9, 9, 65], path: "/x", query: "" },
    { name: "bytes outside ASCII", options: [2, 4, 0x2f, 0x3f, 0xff, 0], path: "/", query: "\xff\0" },
  ];
  for (const { name, options, path, query } of rows) {
    test(name, () => {
      const params = parse(options);
      assert.deepEqual({ path: params.path, query: params.query }, { path, query });
    });
  }

  test("reach hooks percent-decoded", () => {
    assert.equal(parse(urlData("/?a=%20b+c")).get("a"), " b c");
  });

  test("hold as much URL data as fits into a datagram of 2,048 bytes", () => {
    const part = urlData("x".repeat(255));
    const parts = Array.from({ length: 7 }, () => part).flat();
    const last = urlData("y".repeat(2048 - 98 - parts.length - 2));
    assert.equal(parse([...parts, ...last]).path, `${"x".repeat(7 * 255)}${"y".repeat(last.length - 2)}`);
    const small = Array.from({ length: 650 }, () => urlData("z")).flat();
    assert.equal(parse(small).path, "z".repeat(650));
  });

  test("end before more than that", () => {
    const part = urlData("x".repeat(255));
    const parts = Array.from({ length: 8 }, () => part).flat();
    assert.equal(parse([...parts, ...urlData("y".repeat(9)), ...urlData("z")]).path, "x".repeat(2040));
  });

  test("forget the URL data of the packet before", () => {
    const params = parse(urlData("/?a=b"));
    parseOptions(new Uint8Array([0]), 0, 1, new Uint8Array(maxUrlDataLength), params);
    assert.equal(params.path, "");
  });

  test("join URL data however it is split", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100, size: "max" }), { maxLength: 10 }), (parts) => {
        const params = parse(parts.flatMap((part) => [2, part.length, ...part]));
        const whole = parts.flatMap((part) => [...part]);
        const text = String.fromCharCode(...whole);
        const mark = text.indexOf("?");
        assert.equal(params.path, mark < 0 ? text : text.slice(0, mark));
        assert.equal(params.query, mark < 0 ? "" : text.slice(mark + 1));
      }),
      { seed: 41, numRuns: 500 },
    );
  });

  test("never throw, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300, size: "max" }), (bytes) => void parse([...bytes])),
      { seed: 41, numRuns: 2000 },
    );
  });
});
