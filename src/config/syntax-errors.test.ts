import assert from "node:assert/strict";
import { test } from "node:test";
import { Diagnostics } from "./diagnostics.ts";
import { parseTree } from "./parse-tree.ts";

/** What is said about a text, as `line:column: message`. */
function mistakes(text: string): string[] {
  const diagnostics = new Diagnostics("x.yaml", text);
  parseTree("x.yaml", text, diagnostics);
  return diagnostics.list("error").map(({ line, column, message }) => `${line}:${column}: ${message}`);
}

const indentation = "indentation does not fit the lines above; keys of one block begin in the same column";
const dash = "this dash is too far left; put all dashes of a list in one column, not left of its key";
const address = 'quote an address that begins with a bracket, as "[::]:6969"';
const openQuote = (quote: string) =>
  `the quote that begins here is not closed; write ${quote} at the end of the value`;

for (const [name, text, ...expected] of [
  ["a list in column 0", "chihaya:\n  prehooks:\n- module: ./x.ts\n  options: {}\n", `3:1: ${dash}`],
  ["a dash left of the others", "chihaya:\n  prehooks:\n    - name: a\n   - name: b\n", `4:4: ${dash}`],
  ["a dash right of the others", "chihaya:\n  x:\n    - name: a\n     - name: b\n", `4:6: ${indentation}`],
  ["one space too many after a value", "chihaya:\n  a: 30m\n   b: 15m\n  c: 1\n", `3:4: ${indentation}`],
  ["the same in a list", "chihaya:\n  x:\n    - name: a\n       b: {}\n", `4:8: ${indentation}`],
  ["one space too many after a block", "chihaya:\n  a: {}\n   b: {}\n", `3:4: ${indentation}`],
  ["one space too few", "chihaya:\n  a:\n    b: 1\n   c: 2\n", `4:4: ${indentation}`],
  ["one space too few in a list", "chihaya:\n  x:\n    - name: a\n     b: 1\n", `4:6: ${indentation}`],
  ["an address in brackets", "chihaya:\n  addr: [::]:6969\n", `2:9: ${address}`],
  ["the same as an item", "chihaya:\n  addr:\n    - [::1]:6969\n    - x\n", `3:7: ${address}`],
  ["the same in a flow list", "chihaya:\n  addr: [0.0.0.0:1, [::]:6969]\n", `2:21: ${address}`],
  ["an open double quote", 'chihaya:\n  a: ":6969\n  b: 5\n', `2:6: ${openQuote('"')}`],
  ["an open single quote", "chihaya:\n  a: ':6969\n  b: 5\n", `2:6: ${openQuote("'")}`],
  [
    "an open quote before other quotes",
    'chihaya:\n  a: ":6969\n  b: "x"\n  c: "y"\n',
    `2:6: ${openQuote('"')}`,
  ],
  ["an escaped quote at the end", 'chihaya:\n  a: "x\\"\n', `2:6: ${openQuote('"')}`],
  [
    "text after a quote",
    'chihaya:\n  a: "x"y\n',
    "2:9: text after the closing quote; put the whole value in one pair of quotes",
  ],
  ["an open list", 'chihaya:\n  a: ["x",\n  b: {}\n', '2:6: "[" is not closed; write "]" after it'],
  ["an open mapping", 'chihaya:\n  a: { b: "x"\n  c: {}\n', '2:6: "{" is not closed; write "}" after it'],
  [
    "no space after a dash",
    "chihaya:\n  x:\n    -name: a\n     b: {}\n",
    '3:5: write a space after the dash of a list: "- name"',
  ],
  ["a reserved character", "chihaya:\n  a: @x\n", '2:6: a value cannot begin with "@"; put it in quotes'],
  [
    "a place that was not filled in",
    "chihaya:\n  a: {{ key }}\n",
    '2:7: a key must be a plain word; quote a value that begins with "{" or "["',
  ],
  [
    "a Windows path",
    'chihaya:\n  a: "C:\\certs"\n',
    "2:9: in double quotes a backslash begins an escape; write it twice, or use single quotes",
  ],
  ["UTF-16", "c\0h\0i\0", "1:2: the file contains a NUL character; save the file as text in UTF-8"],
  ["two documents", "chihaya:\n  a: 1\n---\nb: 1\n", '3:1: more than one document; remove the line "---"'],
] as const) {
  test(name, () => assert.deepEqual(mistakes(text), expected));
}
