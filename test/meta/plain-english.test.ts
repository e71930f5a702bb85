/** Forbids the phrases of `plain-english.txt` in sources and documents. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";

interface Phrase {
  pattern: RegExp;
  remedy: string;
}

/** Parses a list of phrases: a regular expression per line, below a comment with the remedy. */
function parsePhrases(text: string): Phrase[] {
  const phrases: Phrase[] = [];
  let remedy = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) remedy = line.slice(1).trim();
    else if (line !== "") phrases.push({ pattern: new RegExp(line, "gi"), remedy });
  }
  return phrases;
}

/** Finds phrases, also across the line breaks of a comment or a paragraph: `file:line: "phrase": remedy`. */
function findPhrases(phrases: readonly Phrase[], file: string, text: string): string[] {
  let prose = "";
  const starts = text.split("\n").map((line) => {
    const start = prose.length;
    prose += `${line.replace(/^\s*(\*(?!\/)|\/\/|#|>)?\s*/, "")} `;
    return start;
  });
  return phrases.flatMap(({ pattern, remedy }) =>
    [...prose.matchAll(pattern)].map(({ 0: phrase, index }) => {
      const line = starts.findLastIndex((start) => start <= index) + 1;
      return `${file}:${line}: "${phrase}": ${remedy}`;
    }),
  );
}

const phrases = parsePhrases(readFileSync(new URL("plain-english.txt", import.meta.url), "utf8"));
const files = globSync([
  "*.md",
  "docs/*.md",
  "src/**/*.{ts,md}",
  "examples/*/*.{ts,md,yaml}",
  "deploy/{Dockerfile,**/*.*}",
  "chihaya.example.yaml",
]).sort();

describe("plain English", () => {
  const sample = parsePhrases(
    "# Say who does what.\n\\b(is|are) told\\b\n\n# Say previous.\n\\bof before\\b\n",
  );

  for (const [name, text, expected] of [
    ["a good sentence", "The client gets the list.", []],
    ["a phrase in a line", "one\nThe client is told.", ['x:2: "is told": Say who does what.']],
    ["any case", "Are Told", ['x:1: "Are Told": Say who does what.']],
    ["a line break of a paragraph", "the list\nof\nbefore", ['x:2: "of before": Say previous.']],
    ["a line break of a comment", "/**\n * It is\n * told.\n */", ['x:2: "is told": Say who does what.']],
    [
      "two phrases",
      "is told, are told",
      ["is told", "are told"].map((it) => `x:1: "${it}": Say who does what.`),
    ],
  ] as const) {
    test(`finds what it should in ${name}`, () => {
      assert.deepEqual(findPhrases(sample, "x", text), expected);
    });
  }

  test("every phrase has a remedy", () => {
    assert.ok(phrases.length > 40);
    assert.deepEqual(
      phrases.filter(({ remedy }) => remedy === ""),
      [],
    );
  });

  test("no file has a phrase of plain-english.txt", () => {
    assert.ok(files.length > 200);
    const found = files.flatMap((file) => findPhrases(phrases, file, readFileSync(file, "utf8")));
    assert.deepEqual(found, [], `${found.length} sentences to rewrite:\n${found.join("\n")}`);
  });
});
