import assert from "node:assert/strict";
import { test } from "node:test";
import { quote } from "../lib/quote.ts";
import { Diagnostics, formatDiagnostics, formatPath } from "./diagnostics.ts";

function one(text: string, offset: number, message = "wrong"): Diagnostics {
  const diagnostics = new Diagnostics("a.yaml", text, ["password"]);
  diagnostics.error({ source: "a.yaml", offset }, ["b", 1, "c"], message);
  return diagnostics;
}

const formatted = (diagnostics: Diagnostics) => formatDiagnostics(diagnostics.list("error"));

test("a mistake is shown with its line, and a caret below it", () => {
  assert.equal(
    formatted(one("a\r\n\tb: c\r\nd", 7)),
    "a.yaml:2:5: b[1].c: wrong\n  2 | \tb: c\n    | \t   ^\n",
  );
  assert.equal(formatted(one("abc", 3)), "a.yaml:1:4: b[1].c: wrong\n  1 | abc\n    |    ^\n");
  assert.equal(formatted(one("", 0)), "a.yaml:1:1: b[1].c: wrong\n");
});

test("long lines are cut around the mistake, control characters replaced", () => {
  const long = formatted(one(`${"x".repeat(5000)}!${"y".repeat(5000)}`, 5000)).split("\n");
  assert.equal(long[1]?.length, "  1 | ".length + 110);
  assert.equal(long[1]?.[long[2]!.indexOf("^")], "!");
  assert.equal(
    formatted(one("a: \u001b[31m\u202e", 0)),
    "a.yaml:1:1: b[1].c: wrong\n  1 | a: \ufffd[31m\ufffd\n    | ^\n",
  );
  assert.equal(quote("a\u001b\n\u2028\u0085"), '"a\\u001b\\n\ufffd\ufffd"');
  assert.equal(quote("z".repeat(100)).length, 62);
});

test("messages that name something from the file are cut, control characters replaced", () => {
  const [diagnostic] = one("a", 0, `hash ${"x".repeat(5000)} \u001b[31m`).list("error");
  assert.equal(diagnostic?.message.length, 400);
  assert.equal(one("a", 0, "hash \u001b[31m\n\tx").list("error")[0]?.message, "hash \ufffd[31m\ufffd x");
});

test("lines with secrets are not shown", () => {
  assert.equal(formatted(one("password: hunter2", 10)), "a.yaml:1:11: b[1].c: wrong\n");
  assert.deepEqual(one("password: hunter2", 10).list("error")[0]?.excerpt, undefined);
});

test("errors and warnings are listed by position, what has none first", () => {
  const diagnostics = new Diagnostics("a.yaml", "one\ntwo\n");
  diagnostics.warning({ source: "a.yaml", offset: 1 }, [], "doubtful");
  diagnostics.error({ source: "a.yaml", offset: 5 }, [], "second");
  diagnostics.error({ source: "a.yaml", offset: 0 }, [], "first");
  diagnostics.error({ source: "a.yaml", offset: 0 }, ["again"], "first");
  diagnostics.error({ source: "--set x", offset: -1 }, ["x"], "outside");
  assert.equal(
    formatted(diagnostics),
    "--set x: x: outside\na.yaml:1:1: first\n  1 | one\n    | ^\na.yaml:2:2: second\n  2 | two\n    |  ^\n",
  );
  assert.equal(
    formatDiagnostics(diagnostics.list("warning")).split("\n")[0],
    "a.yaml:1:2: warning: doubtful",
  );
  assert.deepEqual(JSON.parse(formatDiagnostics(diagnostics.list("warning"), { json: true })), [
    {
      severity: "warning",
      source: "a.yaml",
      line: 1,
      column: 2,
      path: "",
      message: "doubtful",
      excerpt: "one",
    },
  ]);
});

test("of very many mistakes the first hundred are kept, and warnings do not crowd out errors", () => {
  const diagnostics = new Diagnostics("a.yaml", "");
  for (let i = 0; i < 1000; i++) diagnostics.warning({ source: "a.yaml", offset: -1 }, [], `${i}`);
  assert.equal(diagnostics.hasErrors, false);
  diagnostics.error({ source: "a.yaml", offset: -1 }, [], "broken");
  assert.equal(diagnostics.hasErrors, true);
  assert.equal(diagnostics.list("warning").length, 100);
});

test("paths are written with dots and brackets", () => {
  assert.equal(formatPath(["prehooks", 0, "options", "whitelist", 12]), "prehooks[0].options.whitelist[12]");
  assert.equal(formatPath([]), "");
});
