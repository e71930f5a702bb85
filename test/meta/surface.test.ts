/**
 * What others import of this package, by entry, kind and name, is what `surface.txt` says: a change is seen and meant.
 * `node test/meta/surface.test.ts --write` takes it over.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ownModules } from "../../src/config/import-definition.ts";

const file = join(import.meta.dirname, "surface.txt");
const { exports: entries } = JSON.parse(readFileSync("package.json", "utf8"));
const sources = new Map(
  Object.entries(entries as Record<string, { default?: string }>).flatMap(([entry, { default: built }]) =>
    built === undefined
      ? []
      : [[entry.replace(/^\./, "chihaya"), built.replace(/dist\/(.*)\.js$/, "src/$1.ts")]],
  ),
);

function kindOf(value: unknown): string {
  if (typeof value !== "function") return typeof value;
  return /^class\b/.test(`${value}`) ? "class" : "function";
}

/** Names of types that a module exports, by its text. */
function typesOf(source: string): string[] {
  const lists = [...source.matchAll(/^export (type )?\{([^}]*)\}/gm)].flatMap(([, isType, list]) =>
    list!.split(",").map((name) => `${isType ?? ""}${name.trim()}`),
  );
  const listed = lists.filter((name) => /^type \w/.test(name)).map((name) => name.slice(5));
  const declared = [...source.matchAll(/^export (?:interface|type) (\w+)/gm)].map(([, name]) => name!);
  return [...listed, ...declared];
}

async function describeSurface(): Promise<string> {
  let text = "";
  for (const [entry, source] of sources) {
    const values = Object.entries(await import(join(import.meta.dirname, "../..", source)));
    const lines = [
      ...values.map(([name, value]) => `${kindOf(value)} ${name}`),
      ...typesOf(readFileSync(source, "utf8")).map((name) => `type ${name}`),
    ];
    text += `${entry}\n${lines
      .sort()
      .map((line) => `  ${line}\n`)
      .join("")}\n`;
  }
  return text;
}

if (process.argv.includes("--write")) writeFileSync(file, await describeSurface());

test("the exports are those that were agreed on", async () => {
  assert.equal(await describeSurface(), readFileSync(file, "utf8"), "see surface.test.ts");
});

test("what a hook may import while a tracker runs it, and what the examples are compiled with, is all of it", () => {
  const names = [...sources.keys()].sort();
  assert.deepEqual(Object.keys(ownModules).sort(), names);
  const { paths } = JSON.parse(readFileSync("examples/tsconfig.json", "utf8")).compilerOptions;
  assert.deepEqual(Object.keys(paths).sort(), names);
});
