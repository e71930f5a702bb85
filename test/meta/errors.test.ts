/** Keeps `docs/errors.md` and the errors of the source the same. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import * as builtInHooks from "../../src/hooks/index.ts";
import type { HookDefinition } from "../../src/middleware/define-hook.ts";
import { privateErrors } from "../../src/private/errors.ts";

/** One text that a client may see; `*` in the text of the source stands for what a parameter fills in. */
interface ErrorText {
  code: string;
  text: string;
  retryIn: string;
}

const sources = globSync("src/**/*.ts")
  .filter((file) => !file.endsWith(".test.ts"))
  .map((file) => readFileSync(file, "utf8"));

function codesOfSource(): string[] {
  const union = /export type ClientErrorCode =([^;]*);/.exec(
    readFileSync("src/bittorrent/client-error.ts", "utf8"),
  );
  const own = [...(union?.[1] ?? "").matchAll(/"([^"]+)"/g)].map(([, code]) => code!);
  const hooks: readonly HookDefinition[] = Object.values(builtInHooks);
  const ofHooks = hooks.flatMap(({ errors = [] }) => errors.map(({ code }) => code));
  const ofPrivate = privateErrors.map(({ code }) => code);
  return [...new Set([...own, ...ofHooks, ...ofPrivate])].sort();
}

function textsOfSource(): ErrorText[] {
  const creation =
    /new ClientError\(\s*(?:"([^"]*)"|`([^`]*)`)(?:,\s*"([^"]+)")?(?:,\s*\{\s*retryIn: (\w+|"never"))?/g;
  return sources.flatMap((source) =>
    [...source.replace(/^\s*(\*|\/\/).*$/gm, "").matchAll(creation)].map(
      ([, text, template, code, retryIn]) => ({
        code: code ?? "hook",
        text: text ?? template!.replace(/\$\{[^}]*\}/g, "*"),
        retryIn: (retryIn ?? "").replaceAll('"', ""),
      }),
    ),
  );
}

const sections = readFileSync("docs/errors.md", "utf8").split(/^## /m).slice(1);
const documentedCodes = sections.map((section) => /^`([^`]+)`/.exec(section)?.[1] ?? section);
const documentedTexts: ErrorText[] = sections.flatMap((section, i) =>
  [...section.matchAll(/^- `([^`]+)`(?: \(retry in (\w+)\))?$/gm)].map(([, text, retryIn]) => ({
    code: documentedCodes[i]!,
    text: text!,
    retryIn: retryIn ?? "",
  })),
);

/** @returns those of `some` that none of `others` says too */
function missing(some: readonly ErrorText[], others: readonly ErrorText[]): string[] {
  return some
    .filter((one) => !others.some((other) => same(one, other)))
    .map((one) => `${one.code}: ${one.text}`);
}

function same(a: ErrorText, b: ErrorText): boolean {
  const [pattern, text] = a.text.includes("*") ? [a.text, b.text] : [b.text, a.text];
  const [head = "", tail] = pattern.split("*");
  const fits = tail === undefined ? text === head : text.startsWith(head) && text.endsWith(tail);
  return fits && a.code === b.code && a.retryIn === b.retryIn;
}

test("docs/errors.md has one heading for each code, in order", () => {
  assert.ok(codesOfSource().length > 10);
  assert.deepEqual(documentedCodes, codesOfSource());
});

test("every text of the source is documented under its code, with its retry in", () => {
  assert.ok(textsOfSource().length > 10);
  assert.deepEqual(missing(textsOfSource(), documentedTexts), []);
});

test("every documented text is one of the source", () => {
  assert.deepEqual(missing(documentedTexts, textsOfSource()), []);
});

test("texts with a parameter are documented for each of its values", () => {
  const values = sources.flatMap((source) =>
    [...source.matchAll(/= unparsable\("(\w+)"\)/g)].map(([, name]) => name!),
  );
  const documented = documentedTexts.flatMap(
    ({ text }) => /^failed to parse parameter: (\w+)$/.exec(text)?.[1] ?? [],
  );
  assert.deepEqual(documented.sort(), values.sort());
});
