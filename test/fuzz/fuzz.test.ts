import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzz, type Kind } from "./fuzz.ts";

for (const [kind, cases] of [
  ["udp", 100_000],
  ["http", 10_000],
  ["webtorrent", 50_000],
  ["bodies", 3000],
  ["yaml", 200],
] as [Kind, number][]) {
  test(`${cases} hostile inputs over ${kind} break nothing`, async () => {
    const report = await fuzz({ kinds: [kind], cases, seed: 1 });
    assert.ok(report.cases[kind]! >= cases);
  });
}
