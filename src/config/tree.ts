import type { Origin, Path } from "./diagnostics.ts";

/**
 * A configuration as it was written, with the origin of each value. Scalars are text, which the schema interprets, so a
 * value means the same in the file, in the environment and in a flag.
 */
export type Tree = TreeScalar | TreeMapping | TreeList;

/** `text` is undefined for null (nothing, `~`, `null`). */
interface TreeScalar {
  kind: "scalar";
  text: string | undefined;
  /** Whether the value is quoted; a quoted value is always text. */
  isQuoted?: boolean;
  at: Origin;
}

export interface TreeMapping {
  kind: "mapping";
  entries: Map<string, TreeEntry>;
  at: Origin;
}

interface TreeEntry {
  keyAt: Origin;
  value: Tree;
  /** Whether the value has an anchor. */
  isAnchored?: boolean;
}

export interface TreeList {
  kind: "list";
  items: Tree[];
  at: Origin;
}

/** A tree without origins: text, null, lists and plain objects. */
export type Plain = string | null | Plain[] | { [key: string]: Plain };

/** Converts a tree to YAML's types (YAML 1.2, core schema): numbers, booleans and null if they are not quoted. */
export function toNatural(tree: Tree): unknown {
  if (tree.kind === "list") return tree.items.map(toNatural);
  if (tree.kind === "mapping") {
    return Object.fromEntries([...tree.entries].map(([key, { value }]) => [key, toNatural(value)]));
  }
  const { text, isQuoted = false } = tree;
  if (text === undefined) return null;
  if (isQuoted) return text;
  if (/^(true|True|TRUE)$/.test(text)) return true;
  if (/^(false|False|FALSE)$/.test(text)) return false;
  const isNumber = /^([-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?|0x[\da-f]+|0o[0-7]+)$/i.test(text);
  return isNumber ? Number(text) : text;
}

/** Creates an empty mapping. */
export function emptyMapping(at: Origin): TreeMapping {
  return { kind: "mapping", entries: new Map(), at };
}

/** Returns the value at `path`, or undefined. */
export function find(tree: Tree, path: Path): Tree | undefined {
  let found: Tree | undefined = tree;
  for (const step of path) {
    if (found?.kind === "mapping" && typeof step === "string") found = found.entries.get(step)?.value;
    else if (found?.kind === "list" && typeof step === "number") found = found.items[step];
    else return undefined;
  }
  return found;
}

/** Returns the origin of the value at `path` (with `key`, of its key), or else of the innermost block around it. */
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

/** Removes the origins, and keys without a value, so that these keys get their defaults. */
export function toPlain(tree: Tree): Plain {
  if (tree.kind === "scalar") return tree.text ?? null;
  if (tree.kind === "list") return tree.items.map(toPlain);
  const plain: { [key: string]: Plain } = Object.create(null);
  for (const [key, { value }] of tree.entries) {
    if (value.kind !== "scalar" || value.text !== undefined) plain[key] = toPlain(value);
  }
  return plain;
}
