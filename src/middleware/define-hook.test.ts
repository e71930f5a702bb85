import assert from "node:assert/strict";
import { test } from "node:test";
import { createDefinedHook, type HookDeps } from "./define-hook.ts";
import type { Hook } from "./hook.ts";

const deps = {} as HookDeps;

for (const [what, made, message] of [
  ["nothing", undefined, "mine: create has returned no hook"],
  ["no object", 7, "mine: create has returned no hook"],
  ["a method that is a number", { handleAnnounce: 7 }, "mine: handleAnnounce is not a function"],
] as const) {
  test(`the error for create that returns ${what} names the hook`, async () => {
    const create = () => made as unknown as Hook;
    await assert.rejects(createDefinedHook({ name: "mine", create }, undefined, deps), { message });
  });
}
