import assert from "node:assert/strict";
import { test } from "node:test";
import { builtIn } from "./built-in.ts";
import * as definitions from "./index.ts";

test("each built-in frontend is exported under its name, which is its key in a config and in a program", () => {
  assert.deepEqual(builtIn.map(({ name }) => name).sort(), Object.keys(definitions).sort());
});
