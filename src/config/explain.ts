import type { Issue } from "../options/index.ts";
import { leaves } from "./outline.ts";

/** Returns the message of an issue. If the key is known in other blocks, the message names these blocks. */
export function explainIssue({ path, message, isKey }: Issue): string {
  if (!isKey || message.includes("did you mean")) return message;
  const block = path.slice(0, -1).join(".");
  const elsewhere = leaves
    .filter((leaf) => leaf.path.at(-1) === path.at(-1))
    .map((leaf) => leaf.path.slice(0, -1).join("."));
  if (elsewhere.includes(block)) return "unknown key; it belongs to another store (storage.name)";
  if (elsewhere.length === 0) return message;
  const places = elsewhere.map((place) => (place ? `below ${place}` : "to the top"));
  return `unknown key here; it belongs ${places.join(" or ")}`;
}
