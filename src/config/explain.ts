import type { z } from "zod";
import { nearest } from "../lib/nearest.ts";
import type { Path } from "./diagnostics.ts";
import { knownKeys, leaves } from "./outline.ts";
import type { Plain } from "./tree.ts";

/** Words for what zod finds where the schema itself has none. */
export function explainIssue(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code !== "invalid_type") return undefined;
  const got =
    issue.input === undefined ? "it is missing" : Array.isArray(issue.input) ? "got a list" : "got a value";
  if (issue.expected === "array")
    return `expected a list, ${got === "got a value" ? "each item after a dash" : got}`;
  return `expected a block of keys, ${got}`;
}

/** What to say of a key that the schema does not know. */
export function unknownKey(document: Plain, path: Path, key: string): string {
  const known = knownKeys(document, path);
  const near = nearest(key, known);
  if (near !== undefined) return `unknown key; did you mean "${near}"?`;
  const elsewhere = leaves
    .filter((leaf) => leaf.field.key === key)
    .map((leaf) => leaf.path.slice(0, -1).join("."));
  if (elsewhere.includes(path.join("."))) return `unknown key; it belongs to another storage.name than this`;
  if (elsewhere.length > 0) {
    return `unknown key here; it belongs ${elsewhere.map((place) => (place ? `below ${place}` : "to the top")).join(" or ")}`;
  }
  return `unknown key; known are ${known.join(", ")}`;
}
