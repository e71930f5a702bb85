import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "./nearest.ts";

test("a misspelt word finds its correction, other words find nothing", () => {
  const known = ["addr", "https_addr", "max_numwant", "udp"];
  const table: [word: string, found: string | undefined][] = [
    ["adr", "addr"],
    ["Addr", "addr"],
    ["add", "addr"],
    ["max-num-want", "max_numwant"],
    ["max_nuwmant", "max_numwant"],
    ["maxnumwnt", "max_numwant"],
    ["upd", "udp"],
    ["u", undefined],
    ["workers", undefined],
    ["a".repeat(100_000), undefined],
  ];
  for (const [word, found] of table) assert.equal(nearest(word, known), found, word.slice(0, 20));
});
