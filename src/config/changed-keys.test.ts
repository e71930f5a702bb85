import assert from "node:assert/strict";
import { test } from "node:test";
import { changedKeys, covers } from "./changed-keys.ts";
import type { Plain } from "./tree.ts";

const hook = (whitelist: string[]): Plain => ({ name: "torrent approval", options: { whitelist } });

for (const [name, before, after, expected] of [
  ["nothing", { a: "1", b: ["x"] }, { b: ["x"], a: "1" }, []],
  ["a value", { http: { addr: "1", x: "2" } }, { http: { addr: "3", x: "2" } }, ["http.addr"]],
  ["keys that come and go", { a: "1" }, { b: "1" }, ["a", "b"]],
  ["a block that comes", {}, { udp: { addr: "1" } }, ["udp"]],
  ["a block that becomes a value", { a: { b: "1" } }, { a: "1" }, ["a"]],
  ["a list of values", { a: ["1", "2"] }, { a: ["1", "3"] }, ["a"]],
  [
    "an option of a hook",
    { prehooks: [hook(["a"]), hook(["b"])] },
    { prehooks: [hook(["a"]), hook([])] },
    ["prehooks[1].options.whitelist"],
  ],
  ["a hook that comes", { prehooks: [] }, { prehooks: [hook([])] }, ["prehooks"]],
  ["null", { a: null }, { a: "" }, ["a"]],
] as [string, Plain, Plain, string[]][]) {
  test(`changed keys: ${name}`, () => assert.deepEqual(changedKeys(before, after), expected));
}

test("a name covers itself and what is below it", () => {
  for (const key of ["http", "http.addr", "http[0]"]) assert.ok(covers("http", key));
  for (const key of ["https", "htt", "udp.http"]) assert.ok(!covers("http", key));
});
