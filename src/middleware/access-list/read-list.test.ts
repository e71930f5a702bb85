import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Pace } from "../../lib/pace.ts";
import { ListError, readList } from "./read-list.ts";

/** Reads a list in chunks of so many bytes. @returns its entries, or `line: what is wrong` */
async function read(list: string | Uint8Array, chunk = 1_000_000): Promise<string[] | string> {
  const bytes = typeof list === "string" ? Buffer.from(list) : Buffer.from(list);
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
  }
  const entries: string[] = [];
  const take = (from: Uint8Array, start: number, end: number) => {
    const entry = Buffer.from(from.subarray(start, end)).toString();
    if (entry === "wrong") return "it is wrong";
    entries.push(entry);
    return undefined;
  };
  try {
    await readList(chunks(), take, new Pace());
    return entries;
  } catch (error) {
    if (!(error instanceof ListError)) throw error;
    return `${error.line}: ${error.message}`;
  }
}

const long = "x".repeat(70_000);
const rows: [name: string, list: string | Uint8Array, result: string[] | string][] = [
  ["lines", "one\ntwo\n", ["one", "two"]],
  ["no newline at the end", "one\ntwo", ["one", "two"]],
  [
    "white space, carriage returns and blank lines",
    "\r\n\t one two \r\n\r\n\n  three\r\n",
    ["one two", "three"],
  ],
  ["carriage returns alone", "one\rtwo\r\r# three\rfour", ["one", "two", "four"]],
  ["all kinds of lines", "one\rtwo\nthree\r\nfour\r", ["one", "two", "three", "four"]],
  ["a wrong line among carriage returns", "one\r\rwrong\rtwo", "3: it is wrong"],
  ["a wrong line after CRLF", "one\r\n\r\nwrong\r\n", "3: it is wrong"],
  ["not UTF-8 after a carriage return", Buffer.from("one\r# \xff\rtwo\r", "latin1"), "2: not UTF-8"],
  ["comments", "# a\n  ; b\none # c\n#[\n", ["one # c"]],
  ["a comment alone is a list without entries", "# nothing yet\n", []],
  ["blank lines alone", "\n\n", []],
  ["a byte order mark", "\uFEFFone\n", ["one"]],
  ["a byte order mark alone", "\uFEFF", "1: the list is empty; write a comment into a list without entries"],
  ["one byte", "x", ["x"]],
  ["UTF-8 in a comment", "# Größe\none\n", ["one"]],
  ["nothing at all", "", "1: the list is empty; write a comment into a list without entries"],
  ["a wrong line", "one\n\nwrong\ntwo", "3: it is wrong"],
  ["a wrong last line", "one\nwrong", "2: it is wrong"],
  ["not UTF-8", Buffer.from("one\n# \xff\ntwo\n", "latin1"), "2: not UTF-8"],
  ["not UTF-8 at the end", Buffer.from("one\n\xc3", "latin1"), "2: not UTF-8"],
  ["a line without an end", `one\n${long}`, "2: longer than 65536 bytes"],
  ["an array", '["one","two"]', ["one", "two"]],
  ["an array on lines", ' \n[\n  "one",\n  "two"\n]\n', ["one", "two"]],
  ["an empty array", "[ ]", []],
  ["a wrong text", '[\n"one",\n"wrong"]', "3: it is wrong"],
  ["an array that was cut off", '["one",\n"two"', "2: the list ends in the middle of the array"],
  ["in a text", '["one",\n"tw', "2: the list ends in the middle of the array"],
  ["after its bracket", "[", "1: the list ends in the middle of the array"],
  ["numbers", "[1]", '1: expected a text or ], got "1"'],
  ["a comma too many", '["one",]', '1: expected a text, got "]"'],
  ["no comma", '["one" "two"]', '1: expected , or ], got "\\""'],
  ["more behind it", '["one"]\n["two"]', '2: expected nothing, got "["'],
  ["an escape", '["\\u0041"]', "1: an entry with an escape or a control character"],
];

describe("a list", () => {
  for (const [name, list, result] of rows) {
    test(name, async () => {
      assert.deepEqual(await read(list), result);
      for (const chunk of [1, 2, 3, 7]) {
        if (list.length < 1000) assert.deepEqual(await read(list, chunk), result, `${chunk} bytes at a time`);
      }
    });
  }

  test("a long one", async () => {
    const entries = Array.from({ length: 20_000 }, (_, i) => `entry ${i}`);
    assert.deepEqual(await read(entries.join("\n")), entries);
    assert.deepEqual(await read(JSON.stringify(entries)), entries);
  });
});
