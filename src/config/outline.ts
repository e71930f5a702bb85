import { type AnyBlock, Block, type Value } from "../options/index.ts";
import { schema } from "./schema.ts";
import type { Plain } from "./tree.ts";
import { UseList, UseValue } from "./uses.ts";

/** A value of any type. */
export type AnyValue = Value<unknown, unknown>;

/** One key of a block, with its value. */
export type Field = readonly [key: string, value: AnyValue];

/** Describes all keys under `chihaya:`. */
export const outline: AnyBlock = schema as AnyBlock;

/** Blocks that are off without their key. With the key alone, they are on with their defaults. */
export const optionalBlocks: readonly string[] = [...outline.fields]
  .filter(([, value]) => value instanceof Block && value.byDefault === undefined)
  .map(([key]) => key);

/** Paths of all blocks that are off without their key, also of those inside of other blocks. */
export const optionalPaths: readonly (readonly string[])[] = findOptional(outline, []);

function findOptional(block: AnyBlock, path: readonly string[]): (readonly string[])[] {
  return [...block.fields].flatMap(([key, value]) => {
    if (!(value instanceof Block)) return [];
    const at = [...path, key];
    return [...(isOptional(value) ? [at] : []), ...findOptional(value, at)];
  });
}

/** Whether the block is off without its key. */
export function isOptional(value: AnyValue): boolean {
  return value instanceof Block && value.byDefault === undefined && value.mayBeMissing;
}

/** The blocks of {@link optionalBlocks} whose keys all have defaults. A tracker without a configuration file has these blocks. */
export const defaultBlocks: readonly string[] = optionalBlocks.filter((key) =>
  [...(outline.fields.get(key) as AnyBlock).fields.values()].every(
    ({ mayBeMissing, byDefault }) => mayBeMissing || byDefault !== undefined,
  ),
);

/** A value that is not a block, outside lists of hooks and frontends. */
export interface Leaf {
  path: readonly string[];
  value: AnyValue;
}

/** All leaves. A path that several variants of a block share is listed once. */
export const leaves: readonly Leaf[] = collect([outline], []);

function collect(blocks: readonly AnyBlock[], path: readonly string[]): Leaf[] {
  const found = new Map<string, Leaf>();
  for (const [key, value] of blocks.flatMap(({ fields }) => [...fields])) {
    const at = [...path, key];
    for (const leaf of leavesOf(value, at)) {
      const name = leaf.path.join(".");
      if (!found.has(name)) found.set(name, leaf);
    }
  }
  return [...found.values()];
}

function leavesOf(value: AnyValue, path: readonly string[]): Leaf[] {
  if (value instanceof Block) return collect([value], path);
  if (value instanceof UseValue) return collect([...value.variants.values()], path);
  return value instanceof UseList ? [] : [{ path, value }];
}

/** Returns the fields of a block: of the variant that the document names, or of the default; undefined if it is not a block. */
export function fieldsOf(value: AnyValue, document: Plain | undefined): readonly Field[] | undefined {
  const block = value instanceof UseValue ? value.blockOf(document) : value;
  return block instanceof Block ? [...block.fields] : undefined;
}

/** Keys whose values are never shown. */
export const secretKeys: readonly string[] = leaves
  .filter(({ value }) => value.facts.secret)
  .map(({ path }) => path.at(-1)!);

/** Returns the document's value at a path, or else the default. */
export function valueAt(document: Plain, path: readonly string[], value: AnyValue): Plain | undefined {
  let found: Plain | undefined = document;
  for (const step of path) found = (found as Record<string, Plain> | null | undefined)?.[step];
  return found ?? (value.byDefault as Plain | undefined);
}
