import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Params, percentDecode } from "./params.ts";

/** Returns params for a target in the middle of other bytes. */
function paramsOf(target: string, params: Params = new Params()): { params: Params; bytes: Buffer } {
  const before = "GET ";
  const bytes = Buffer.from(`${before}${target} HTTP/1.1`, "latin1");
  const question = target.indexOf("?");
  const start = before.length;
  const end = start + target.length;
  params.set(bytes, start, question < 0 ? end : start + question, end);
  return { params, bytes };
}

describe("params", () => {
  const table: [string, string, string, Record<string, string | undefined>][] = [
    ["/announce", "/announce", "", { a: undefined, "": undefined }],
    ["/announce?", "/announce", "", { a: undefined, "": undefined }],
    ["/a?a=b", "/a", "a=b", { a: "b" }],
    ["/a?a=b&c=d", "/a", "a=b&c=d", { a: "b", c: "d" }],
    ["/a?a", "/a", "a", { a: "" }],
    ["/a?a=", "/a", "a=", { a: "" }],
    ["/a?=b", "/a", "=b", { "": "b" }],
    ["/a?&&a=b&", "/a", "&&a=b&", { a: "b", "": undefined }],
    ["/a?a=b=c", "/a", "a=b=c", { a: "b=c" }],
    ["/a?a=b?c", "/a", "a=b?c", { a: "b?c" }],
    ["/a?a=1&a=2", "/a", "a=1&a=2", { a: "2" }],
    ["/a?A=1&a=2&%41=3", "/a", "A=1&a=2&%41=3", { a: "3", A: undefined }],
    ["/a?a=b;c=d", "/a", "a=b;c=d", { a: "b;c=d", c: undefined }],
    ["/a?x+y=a+b%2B", "/a", "x+y=a+b%2B", { "x y": "a b+" }],
    ["/a?a=%", "/a", "a=%", { a: "%" }],
    ["/a?a=%4", "/a", "a=%4", { a: "%4" }],
    ["/a?a=%zz%41", "/a", "a=%zz%41", { a: "%zzA" }],
    ["/a?a=%26%3d%25", "/a", "a=%26%3d%25", { a: "&=%" }],
    ["/a%20b", "/a%20b", "", {}],
    [
      "/a?__proto__=1&constructor=2",
      "/a",
      "__proto__=1&constructor=2",
      { ["__proto__"]: "1", constructor: "2" },
    ],
    ["?a=b", "", "a=b", { a: "b" }],
    ["", "", "", { a: undefined }],
  ];
  for (const [target, path, query, values] of table) {
    test(JSON.stringify(target), () => {
      const { params } = paramsOf(target);
      assert.deepEqual([params.path, params.query], [path, query]);
      for (const name of Object.keys(values)) assert.equal(params.get(name), values[name], name);
    });
  }

  test("every byte comes through, escaped or not", () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    const escaped = [...all].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
    const { params } = paramsOf(`/a?x=${escaped.toUpperCase()}&y=${escaped}`);
    for (const name of ["x", "y"])
      assert.deepEqual(new Uint8Array(Buffer.from(params.get(name)!, "latin1")), all);
    const raw = [...all].filter((byte) => !"%&+".includes(String.fromCharCode(byte)));
    const { params: rawParams } = paramsOf(`/a?x=${String.fromCharCode(...raw)}`);
    assert.deepEqual([...Buffer.from(rawParams.get("x")!, "latin1")], raw);
  });

  test("any bytes survive being escaped and decoded", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ maxLength: 60 }), (bytes, choice) => {
        let text = "";
        for (const [i, byte] of bytes.entries()) {
          const character = String.fromCharCode(byte);
          const mustEscape = character === "%" || character === "+";
          const escaped = `%${byte.toString(16).padStart(2, "0")}`;
          text += mustEscape || (choice[i] ?? 0) < 128 ? escaped : character;
        }
        assert.deepEqual(new Uint8Array(Buffer.from(percentDecode(text), "latin1")), bytes);
      }),
      { seed: 7 },
    );
  });

  test("get() finds what a full parse of the query finds", () => {
    const pieces = ["a", "A", "jwt", "=", "&", "%", "%41", "%6a", "+", "%20", "\xc0", "\xe0", "x", "%26"];
    const query = fc.array(fc.constantFrom(...pieces), { maxLength: 16 }).map((parts) => parts.join(""));
    const names = ["a", "jwt", "", " ", "\xe0", "%41", "a=", "a&", "A", "ax", "j"];
    fc.assert(
      fc.property(query, fc.constantFrom(...names), (query, name) => {
        const values = new Map<string, string>();
        for (const pair of query.split("&").filter((pair) => pair !== "")) {
          const [raw, ...rest] = pair.split("=");
          values.set(percentDecode(raw!).toLowerCase(), percentDecode(rest.join("=")));
        }
        assert.equal(paramsOf(`/a?${query}`).params.get(name), values.get(name));
      }),
      { seed: 7, numRuns: 2000 },
    );
  });

  test("the route is matched only on demand", () => {
    let asked = 0;
    const routes = {
      match: (bytes: Uint8Array, start: number, pathEnd: number) => {
        asked++;
        const path = Buffer.from(bytes.subarray(start, pathEnd)).toString();
        return path === "/none" ? undefined : { params: new Map([["jwt", path]]) };
      },
    };
    const { params } = paramsOf("/x?a=b");
    params.routes = routes;
    assert.equal(asked, 0);
    params.detach();
    assert.deepEqual([params.route("jwt"), params.route("other"), asked], ["/x", undefined, 1]);
    paramsOf("/none", params);
    assert.deepEqual([params.route("jwt"), params.route("jwt"), asked], [undefined, undefined, 2]);
    params.clear();
    assert.deepEqual([params.route("jwt"), asked], [undefined, 2]);
  });

  test("the next request inherits nothing", () => {
    const { params } = paramsOf("/a?a=1");
    params.setRoute(new Map([["passkey", "secret"]]));
    assert.deepEqual([params.get("a"), params.route("passkey")], ["1", "secret"]);
    paramsOf("/b?b=2", params);
    assert.deepEqual(
      [params.get("a"), params.get("b"), params.route("passkey")],
      [undefined, "2", undefined],
    );
    params.clear();
    assert.deepEqual([params.path, params.query, params.get("b")], ["", "", undefined]);
  });

  test("the route's parameters are not decoded again", () => {
    const { params } = paramsOf("/announce/x?passkey=query");
    assert.equal(params.route("passkey"), undefined);
    params.setRoute(new Map([["passkey", "x"]]));
    assert.deepEqual(
      [params.route("passkey"), params.get("passkey"), params.route("y")],
      ["x", "query", undefined],
    );
  });

  test("detached params outlive the buffer", () => {
    for (const target of ["/path?a=b&c=%00", "/path", "/path?", "?a=b", ""]) {
      const { params, bytes } = paramsOf(target);
      const { params: expected } = paramsOf(target);
      params.setRoute(new Map([["passkey", "x"]]));
      params.detach();
      bytes.fill(0x2a);
      assert.deepEqual(
        [params.path, params.query, params.get("a"), params.get("c"), params.route("passkey")],
        [expected.path, expected.query, expected.get("a"), expected.get("c"), "x"],
        target,
      );
      params.detach();
      assert.equal(params.path, expected.path, "detached twice");
    }
  });
});

describe("a segment of letters and digits", () => {
  for (const [target, found] of [
    ["/abcd/announce", "abcd"],
    ["/announce/abcd", "abcd"],
    ["/announce/AB09/", "AB09"],
    ["/announce/abcd?x=y", "abcd"],
    ["/abcd/efgh", "abcd"],
    ["/abc/announce", undefined],
    ["/abcde/announce", undefined],
    ["/ab-d/announce", undefined],
    ["/a%62d/x", undefined],
    ["/x?/abcd/", undefined],
    ["/", undefined],
    ["", undefined],
  ] as const) {
    test(`of four characters in ${target}: ${found}`, () => {
      const out = new Uint8Array(4);
      const { params } = paramsOf(target);
      assert.equal(params.copySegment(out), found !== undefined);
      if (found !== undefined) assert.equal(Buffer.from(out).toString(), found);
    });
  }
});
