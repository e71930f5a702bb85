import assert from "node:assert/strict";
import { test } from "node:test";
import { options, sources } from "./index.ts";

test("a source is a file or a URL that can be fetched; an error about a URL does not quote the URL", () => {
  const block = options({ from: sources() });
  const problem = (source: string) => block.validate({ from: [source] }, "yaml").issues?.[0]?.message;
  for (const source of ["list.txt", "https://site.example/list?key=secret"])
    assert.equal(problem(source), undefined);
  assert.equal(problem(""), "expected a file or a URL");
  assert.equal(problem("https://me:secret@site.example/list"), "a URL with a user cannot be fetched");
  assert.equal(problem("https://site.example:port/list?key=secret"), "not a valid URL");
});
