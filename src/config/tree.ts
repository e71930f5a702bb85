import type { Origin, Path } from "./diagnostics.ts";

/**
 * A configuration as it was written, with the origin of each value. Scalars are text: what they mean is the
 * schema's business, so a value is the same whether it comes from the file, the environment or a flag.
 */
export type Tree = TreeScalar | TreeMapping | TreeList;

/** `text` is undefined for null (nothing, `~`, `null`). */
interface TreeScalar {
  kind: "scalar";
  text: string | undefined;
  /** Whether it stands in quotes, which makes it text whatever it looks like. */
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
  /** Whether aliases can stand for the value. */
  isAnchored?: boolean;
}

export interface TreeList {
  kind: "list";
  items: Tree[];
  at: Origin;
}

/** The same without origins: text, null, lists and plain objects. */
export type Plain = string | null | Plain[] | { [key: string]: Plain };

/** A value as YAML understands it: numbers, booleans and null where they are not in quotes (YAML 1.2, core schema). */
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
