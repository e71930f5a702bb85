import { isDeepStrictEqual } from "node:util";
import { formatPath, type Path } from "./diagnostics.ts";
import type { Plain } from "./tree.ts";

/**
 * Lists the keys whose values differ between two documents, as they are written: `http.max_numwant`,
 * `prehooks[0].options.whitelist`. A list of values is one key; so is a list of hooks if hooks came or went.
 */
export function changedKeys(before: Plain | undefined, after: Plain | undefined, path: Path = []): string[] {
  if (isDeepStrictEqual(before, after)) return [];
  const below = stepsOf(before, after);
  if (below === undefined) return [formatPath(path)];
  return below.flatMap((step) => changedKeys(at(before, step), at(after, step), [...path, step]));
}

/** Returns whether a key is the value `name`, or part of it. */
export function covers(name: string, key: string): boolean {
  return key === name || (key.startsWith(name) && /[.[]/.test(key[name.length]!));
}

/** Returns the keys or indices of two values of one kind; undefined if they differ as a whole. */
function stepsOf(before: Plain | undefined, after: Plain | undefined): (string | number)[] | undefined {
  if (Array.isArray(before) && Array.isArray(after)) {
    const hasBlocks = [...before, ...after].every(isMapping);
    return hasBlocks && before.length === after.length ? [...after.keys()] : undefined;
  }
  if (!isMapping(before) || !isMapping(after)) return undefined;
  return [...new Set([...Object.keys(before), ...Object.keys(after)])];
}

function at(value: Plain | undefined, step: string | number): Plain | undefined {
  return (value as Record<string | number, Plain> | undefined)?.[step];
}

function isMapping(value: Plain | undefined): value is { [key: string]: Plain } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
