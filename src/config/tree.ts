import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { Diagnostics, Origin, Path } from "./diagnostics.ts";
import { quote } from "./diagnostics.ts";

/**
 * A configuration as it was written, with the origin of each value. Scalars are text: what they mean is the
 * schema's business, so a value is the same whether it comes from the file, the environment or a flag.
 */
export type Tree = TreeScalar | TreeMapping | TreeList;

/** `text` is undefined for null (nothing, `~`, `null`). */
export interface TreeScalar {
  kind: "scalar";
  text: string | undefined;
  at: Origin;
}

export interface TreeMapping {
  kind: "mapping";
  entries: Map<string, { keyAt: Origin; value: Tree }>;
  at: Origin;
}

export interface TreeList {
  kind: "list";
  items: Tree[];
  at: Origin;
}

/** The same without origins: text, null, lists and plain objects. */
export type Plain = string | null | Plain[] | { [key: string]: Plain };

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
 * @returns the document, or undefined where it has errors or is empty (which is reported too)
 */
export function parseTree(file: string, text: string, diagnostics: Diagnostics): Tree | undefined {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    schema: "failsafe",
    uniqueKeys: false, // quadratic there; checked below
    prettyErrors: false,
    logLevel: "silent",
    lineCounter,
  });
  const at = (offset: number): Origin => ({ source: file, offset: Math.min(offset, text.length) });
  for (const error of document.errors.slice(0, maxSyntaxErrors)) {
    diagnostics.error(at(error.pos[0]), [], syntaxErrors[error.code] ?? lowerFirst(error.message));
  }
  for (const warning of document.warnings.slice(0, maxSyntaxErrors)) {
    diagnostics.warning(at(warning.pos[0]), [], lowerFirst(warning.message));
  }
  if (document.errors.length > 0) return undefined;

  let values = 0;
  let exhausted = false;
  const convert = (node: unknown, path: Path, fallback: Origin): Tree => {
    const origin = isNode(node) && node.range ? at(node.range[0]) : fallback;
    const nothing: Tree = { kind: "scalar", text: undefined, at: origin };
    if (exhausted) return nothing;
    if (++values > maxValues || path.length > maxDepth) {
      exhausted = true;
      const problem = path.length > maxDepth ? "nested too deeply" : "too many values";
      diagnostics.error(origin, path, `${problem}; are there aliases that multiply?`);
      return nothing;
    }
    if (isAlias(node)) {
      const target = node.resolve(document);
      if (target !== undefined) return convert(target, path, origin);
      diagnostics.error(
        origin,
        path,
        `unknown alias ${quote(`*${node.source}`)}; no &${node.source} before it`,
      );
      return nothing;
    }
    if (isMap(node)) {
      const mapping: TreeMapping = { kind: "mapping", entries: new Map(), at: origin };
      for (const pair of node.items) {
        if (!isPair(pair)) continue;
        const keyAt = isNode(pair.key) && pair.key.range ? at(pair.key.range[0]) : origin;
        if (!isScalar(pair.key) || typeof pair.key.value !== "string") {
          diagnostics.error(keyAt, path, "a key must be a plain word");
          continue;
        }
        const key = pair.key.value;
        const below = [...path, key];
        const first = mapping.entries.get(key);
        if (first !== undefined) {
          const { line } = lineCounter.linePos(first.keyAt.offset);
          diagnostics.error(
            keyAt,
            below,
            `duplicate key, given on line ${line} already; remove one of the two`,
          );
          continue;
        }
        mapping.entries.set(key, { keyAt, value: convert(pair.value, below, keyAt) });
      }
      return mapping;
    }
    if (isSeq(node)) {
      const items = node.items.map((item, index) => convert(item, [...path, index], origin));
      return { kind: "list", items, at: origin };
    }
    if (!isScalar(node) || typeof node.value !== "string") return nothing;
    const isNull = node.type === "PLAIN" && /^(~|null|Null|NULL|)$/.test(node.value);
    return isNull ? nothing : { kind: "scalar", text: node.value, at: origin };
  };

  if (document.contents === null) {
    diagnostics.error(at(0), [], 'the file is empty; it should begin with "chihaya:"');
    return undefined;
  }
  return convert(document.contents, [], at(0));
}

function isNode(value: unknown): value is Node {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value);
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

/** An empty mapping of that origin. */
export function emptyMapping(at: Origin): TreeMapping {
  return { kind: "mapping", entries: new Map(), at };
}

/** The value at `path`, or undefined. */
export function find(tree: Tree, path: Path): Tree | undefined {
  let found: Tree | undefined = tree;
  for (const step of path) {
    if (found?.kind === "mapping" && typeof step === "string") found = found.entries.get(step)?.value;
    else if (found?.kind === "list" && typeof step === "number") found = found.items[step];
    else return undefined;
  }
  return found;
}

/** Where the value at `path` was written, or else the nearest thing around it. With `key`, where its key was. */
export function locate(tree: Tree, path: Path, key = false): Origin {
  let at = tree.at;
  let found: Tree = tree;
  for (const [index, step] of path.entries()) {
    if (found.kind === "mapping" && typeof step === "string") {
      const entry = found.entries.get(step);
      if (entry === undefined) break;
      at = key && index === path.length - 1 ? entry.keyAt : entry.value.at;
      found = entry.value;
    } else if (found.kind === "list" && typeof step === "number") {
      const item: Tree | undefined = found.items[step];
      if (item === undefined) break;
      at = item.at;
      found = item;
    } else break;
  }
  return at;
}

/** Drops the origins. Keys without a value are left out, so they mean their default. */
export function toPlain(tree: Tree): Plain {
  if (tree.kind === "scalar") return tree.text ?? null;
  if (tree.kind === "list") return tree.items.map(toPlain);
  const plain: { [key: string]: Plain } = Object.create(null);
  for (const [key, { value }] of tree.entries) {
    if (value.kind !== "scalar" || value.text !== undefined) plain[key] = toPlain(value);
  }
  return plain;
}
