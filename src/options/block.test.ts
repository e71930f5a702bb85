import assert from "node:assert/strict";
import { test } from "node:test";
import { integer, options, removed } from "./index.ts";

const block = options({ rate: integer(1, 9).default("1"), burst_by: removed("bursts have one size") });

test("a removed key is taken from YAML with a warning, and is not among the options", () => {
  assert.deepEqual(block.validate({ burst_by: ["x"] }, "yaml"), { value: { rate: 1 } });
});

test("a removed key is unknown in a program", () => {
  for (const key of ["burstBy", "burst_by"]) {
    const { issues = [] } = block.validate({ [key]: 1 }, "program");
    assert.deepEqual(
      issues.map(({ message }) => message),
      ["unknown key; known are rate"],
    );
  }
});
