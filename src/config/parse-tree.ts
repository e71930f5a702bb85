import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Node,
  parseDocument,
  type YAMLMap,
} from "yaml";
import { type Diagnostics, type Origin, type Path, quote } from "./diagnostics.ts";
import type { Tree, TreeMapping } from "./tree.ts";

/** Values of one document, aliases counted each time they are used: enough for a list of 100,000 infohashes. */
const maxValues = 250_000;
const maxDepth = 64;
/** Syntax errors that are reported; what follows the first ones is mostly their echo. */
const maxSyntaxErrors = 20;

/** Words for the mistakes that people make; the others keep the parser's. */
const syntaxErrors: Record<string, string> = {
  TAB_AS_INDENT: "indented with a tab; YAML allows only spaces",
  BAD_INDENT: "indentation does not fit the lines above; keys of one block begin in the same column",
  MULTILINE_IMPLICIT_KEY: 'a key without a value; write "key: value" on one line',
  BLOCK_AS_IMPLICIT_KEY: 'a second "key:" on one line; quote the value if it contains ": "',
  MULTIPLE_DOCS: 'more than one document; remove the line "---"',
  RESOURCE_EXHAUSTION: "nested too deeply",
};

/**
 * Parses YAML text. Reports syntax errors, duplicate keys, unknown and excessive aliases.
 * @returns the document, or undefined where it has syntax errors or is empty (which is reported too)
 */
export function parseTree(file: string, text: string, diagnostics: Diagnostics): Tree | undefined {
  const document = parseDocument(text, {
    schema: "failsafe",
    uniqueKeys: false, // takes quadratic time there; checked below
    prettyErrors: false,
    logLevel: "error", // "silent" would let several documents pass
  });
  const at = (offset: number): Origin => ({ source: file, offset: Math.min(offset, text.length) });
  reportSyntax(document, text, (offset, message) => diagnostics.error(at(offset), [], message));
  for (const warning of document.warnings.slice(0, maxSyntaxErrors)) {
    diagnostics.warning(at(warning.pos[0]), [], lowerFirst(warning.message));
  }
  if (document.errors.length > 0) return undefined;
  if (document.contents === null) {
    diagnostics.error(at(0), [], 'the file is empty; it should begin with "chihaya:"');
    return undefined;
  }
  return new Converter(at, diagnostics).convert(document.contents, [], at(0));
}

function reportSyntax(document: Document, text: string, report: (at: number, message: string) => void): void {
  for (const { code, message, pos } of document.errors.slice(0, maxSyntaxErrors)) {
    const indent = code === "BAD_INDENT" ? /^ */.exec(text.slice(pos[0], pos[0] + 200))![0].length : 0;
    const isLoneKey = message.startsWith("Implicit map keys");
    const words = syntaxErrors[isLoneKey ? "MULTILINE_IMPLICIT_KEY" : code];
    report(pos[0] + indent, words ?? lowerFirst(message));
  }
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

/** Turns the parser's nodes into a tree; an alias becomes a copy of what it stands for. */
class Converter {
  readonly #at: (offset: number) => Origin;
  readonly #diagnostics: Diagnostics;
  readonly #anchors = new Map<string, unknown>();
  #values = 0;
  #isExhausted = false;

  constructor(at: (offset: number) => Origin, diagnostics: Diagnostics) {
    this.#at = at;
    this.#diagnostics = diagnostics;
  }

  /** @param fallback  the origin of a value that is not there */
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
    if (isNode(node) && node.anchor) this.#anchors.set(node.anchor, node); // now, so that none contains itself
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
      `unknown alias ${quote(`*${name}`)}; there is no "&" for it above`,
    );
    return { kind: "scalar", text: undefined, at };
  }

  #convertMap(map: YAMLMap, path: Path, at: Origin): TreeMapping {
    const mapping: TreeMapping = { kind: "mapping", entries: new Map(), at };
    for (const { key, value } of map.items.filter(isPair)) {
      const keyAt = this.#origin(key, at);
      if (!isScalar(key) || typeof key.value !== "string") {
        this.#diagnostics.error(keyAt, below(path), "a key must be a plain word");
        continue;
      }
      const name = key.value;
      const converted = this.convert(value, [...path, name], keyAt);
      if (mapping.entries.has(name)) {
        const message = "duplicate key; it stands above already, remove one of the two";
        this.#diagnostics.error(keyAt, below([...path, name]), message);
      } else mapping.entries.set(name, { keyAt, value: converted });
    }
    return mapping;
  }

  #origin(node: unknown, fallback: Origin): Origin {
    return isNode(node) && node.range ? this.#at(node.range[0]) : fallback;
  }
}

/** Paths in messages begin below `chihaya`. */
function below(path: Path): Path {
  return path.length > 1 ? path.slice(1) : path;
}

function isNode(value: unknown): value is Node & { anchor?: string } {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value);
}
