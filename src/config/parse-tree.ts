import { isAlias, isMap, isPair, isScalar, isSeq, type Node, parseDocument, type YAMLMap } from "yaml";
import { quote } from "../lib/quote.ts";
import type { Diagnostics, Origin, Path } from "./diagnostics.ts";
import { explainBracket, explainSyntaxError } from "./syntax-errors.ts";
import type { Tree, TreeMapping } from "./tree.ts";

/** Maximum number of values in a document, where each use of an alias counts: enough for a list of 100,000 infohashes. */
const maxValues = 250_000;
const maxDepth = 64;
/** Maximum number of reported syntax errors; later errors are mostly consequences of the first ones. */
const maxSyntaxErrors = 20;

/**
 * Parses YAML text, with the merge key of YAML 1.1 (`<<: *name`). Reports syntax errors, duplicate keys, unknown and
 * excessive aliases.
 * @returns the document, or undefined if it has syntax errors or is empty (which is reported too)
 */
export function parseTree(file: string, text: string, diagnostics: Diagnostics): Tree | undefined {
  const at = (offset: number): Origin => ({ source: file, offset: Math.min(offset, text.length) });
  const nul = text.indexOf("\0");
  if (nul >= 0) {
    diagnostics.error(at(nul), [], "the file contains a NUL character; save the file as text in UTF-8");
    return undefined;
  }
  const document = parseDocument(text, {
    schema: "failsafe",
    uniqueKeys: false, // the parser's check takes quadratic time; #convertMap checks instead
    prettyErrors: false,
    logLevel: "error", // "silent" would let several documents pass
  });
  for (const error of document.errors.slice(0, maxSyntaxErrors)) {
    const { offset, message } = explainSyntaxError(error, text);
    diagnostics.error(at(offset), [], message);
  }
  for (const warning of document.warnings.slice(0, maxSyntaxErrors)) {
    diagnostics.warning(at(warning.pos[0]), [], lowerFirst(warning.message));
  }
  if (document.errors.length > 0) return undefined;
  if (document.contents === null) {
    diagnostics.error(at(0), [], 'the file is empty; it should begin with "chihaya:"');
    return undefined;
  }
  const converter = new Converter(at, text, diagnostics);
  const tree = converter.convert(document.contents, [], at(0));
  return converter.hasBadKeys ? undefined : tree;
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

/** Converts the parser's nodes to a tree; an alias becomes a copy of its value. */
class Converter {
  readonly #at: (offset: number) => Origin;
  readonly #text: string;
  readonly #diagnostics: Diagnostics;
  readonly #anchors = new Map<string, unknown>();
  #values = 0;
  #isExhausted = false;
  /** Whether a key was not a plain word. Further errors would only be consequences. */
  hasBadKeys = false;

  constructor(at: (offset: number) => Origin, text: string, diagnostics: Diagnostics) {
    this.#at = at;
    this.#text = text;
    this.#diagnostics = diagnostics;
  }

  /** @param fallback  the origin of a missing value */
  convert(node: unknown, path: Path, fallback: Origin): Tree {
    const at = this.#origin(node, fallback);
    if (this.#isExhausted) return { kind: "scalar", text: undefined, at };
    if (++this.#values > maxValues || path.length > maxDepth) {
      this.#isExhausted = true;
      const problem = path.length > maxDepth ? "nested too deeply" : "too many values";
      this.#diagnostics.error(at, [], `${problem}; are there aliases that multiply?`);
      return { kind: "scalar", text: undefined, at };
    }
    if (isAlias(node)) return this.#convertAlias(node.source, path, at);
    const tree = this.#convertValue(node, path, at);
    if (isNode(node) && node.anchor) this.#anchors.set(node.anchor, node); // last, so that no value contains itself
    return tree;
  }

  #convertValue(node: unknown, path: Path, at: Origin): Tree {
    if (isMap(node)) return this.#convertMap(node, path, at);
    if (isSeq(node)) {
      const items = node.items.map((item, index) => this.convert(item, [...path, index], at));
      return { kind: "list", items, at };
    }
    const text = isScalar(node) && typeof node.value === "string" ? node.value : "";
    const isPlain = !isScalar(node) || node.type === "PLAIN";
    const isNull = isPlain && /^(~|null|Null|NULL|)$/.test(text);
    return { kind: "scalar", text: isNull ? undefined : text, isQuoted: !isPlain, at };
  }

  #convertAlias(name: string, path: Path, at: Origin): Tree {
    if (this.#anchors.has(name)) return this.convert(this.#anchors.get(name), path, at);
    this.#diagnostics.error(
      at,
      below(path),
      `unknown alias ${quote(`*${name}`)}; no value above has the anchor ${quote(`&${name}`)}`,
    );
    return { kind: "scalar", text: undefined, at };
  }

  #convertMap(map: YAMLMap, path: Path, at: Origin): TreeMapping {
    const mapping: TreeMapping = { kind: "mapping", entries: new Map(), at };
    const merged: TreeMapping[] = [];
    for (const { key, value } of map.items.filter(isPair)) {
      const keyAt = this.#origin(key, at);
      if (!isScalar(key) || typeof key.value !== "string") {
        this.hasBadKeys = true;
        const bracket = explainBracket(this.#text, keyAt.offset);
        const message = 'a key must be a plain word; quote a value that begins with "{" or "["';
        this.#diagnostics.error(keyAt, below(path), bracket ?? message);
        continue;
      }
      const name = key.value;
      const converted = this.convert(value, [...path, name], keyAt);
      if (name === "<<" && key.type === "PLAIN") merged.push(...this.#mappingsOf(converted, path));
      else if (mapping.entries.has(name)) {
        const message = "duplicate key; it is already set above, remove one of the two";
        this.#diagnostics.error(keyAt, below([...path, name]), message);
      } else {
        const isAnchored = isNode(value) && value.anchor !== undefined;
        mapping.entries.set(name, { keyAt, value: converted, isAnchored });
      }
    }
    for (const [name, entry] of merged.flatMap(({ entries }) => [...entries])) {
      if (!mapping.entries.has(name)) mapping.entries.set(name, entry);
    }
    return mapping;
  }

  /** Returns the mappings of a merge key: its value is one mapping, or a list of mappings, where the first wins. */
  #mappingsOf(value: Tree, path: Path): TreeMapping[] {
    const trees = value.kind === "list" ? value.items : [value];
    return trees.filter((tree): tree is TreeMapping => {
      if (tree.kind === "mapping") return true;
      this.#diagnostics.error(
        tree.at,
        below([...path, "<<"]),
        "expected a mapping or a list of mappings, as <<: *name",
      );
      return false;
    });
  }

  #origin(node: unknown, fallback: Origin): Origin {
    return isNode(node) && node.range ? this.#at(node.range[0]) : fallback;
  }
}

/** Removes `chihaya` from the front of a path, as messages do. */
function below(path: Path): Path {
  return path.length > 1 ? path.slice(1) : path;
}

function isNode(value: unknown): value is Node & { anchor?: string } {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value);
}
