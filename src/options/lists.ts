import type { ListenAddress } from "../ip/listen-address.ts";
import { parseNetwork } from "../ip/networks.ts";
import { quote } from "../lib/quote.ts";
import { parseAddresses } from "./addresses.ts";
import { type Check, isUrl } from "./scalars.ts";
import { describeInput, type Facts, type FileFacts, type Marks, Value } from "./value.ts";

/** Refuses the item at `index`. */
type Refuse = (index: number, message: string) => void;

const json = { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] };

function listOf<T>(
  expected: string,
  facts: Facts,
  read: (items: unknown[], refuse: Refuse) => T | undefined,
): Value<T> {
  return new Value(facts, (input, path, reader) => {
    const items = typeof input === "string" ? input.split(",").filter((part) => part.trim() !== "") : input;
    if (!Array.isArray(items)) {
      reader.refuse(path, `expected ${expected}, got ${describeInput(input)}`);
      return undefined;
    }
    const before = reader.issues.length;
    const trimmed = items.map((item: unknown) => (typeof item === "string" ? item.trim() : item));
    const value = read(trimmed, (index, message) => reader.refuse([...path, index], message));
    return reader.issues.length === before ? value : undefined;
  });
}

/** Refuses each item that is not text, or that `check` refuses. @returns whether all items are text */
function areTexts(items: unknown[], expected: string, refuse: Refuse, check?: Check): items is string[] {
  for (const [index, item] of items.entries()) {
    const problem =
      typeof item === "string" ? check?.(item) : `expected ${expected}, got ${describeInput(item)}`;
    if (problem !== undefined) refuse(index, problem);
  }
  return items.every((item) => typeof item === "string");
}

/** Options of {@link list}. */
export interface ListFacts extends Marks {
  check?: Check;
  file?: FileFacts;
}

/**
 * Describes a list of texts. YAML may also have one text instead, with commas between the items.
 * @param options.check  returns the error of an item
 */
export function list(options: ListFacts = {}): Value<readonly string[]> {
  const { check, ...marks } = options;
  const expected = "a list of texts";
  return listOf(expected, { kind: "list", json, ...marks }, (items, refuse) =>
    areTexts(items, expected, refuse, check) ? items : undefined,
  );
}

/** Describes a list whose items are among a few words. */
export function choices<const T extends string>(words: readonly T[], marks: Marks = {}): Value<readonly T[]> {
  const expected = `one of ${words.join(", ")}`;
  const check: Check = (item) =>
    (words as readonly string[]).includes(item) ? undefined : `expected ${expected}, got ${quote(item)}`;
  return list({ check, ...marks }) as unknown as Value<readonly T[]>;
}

/** Returns the error of a network in CIDR notation, or of an address; undefined if it is valid. */
export function checkNetwork(item: string): string | undefined {
  try {
    parseNetwork(item);
    return undefined;
  } catch (error) {
    return (error as RangeError).message;
  }
}

/** Describes a list of networks in CIDR notation and addresses. */
export function networks(marks: Marks = {}): Value<readonly string[]> {
  return list({ check: checkNetwork, ...marks });
}

function checkSource(item: string): string | undefined {
  if (!isUrl(item)) return item === "" ? "expected a file or a URL" : undefined;
  const url = URL.parse(item);
  if (url === null) return "not a valid URL"; // does not show the URL, which may hold a secret
  return url.username !== "" || url.password !== "" ? "a URL with a user cannot be fetched" : undefined;
}

/** Describes a list of files and of URLs with http or https. @param options.whenMissing  see {@link FileFacts} */
export function sources(options: Pick<FileFacts, "whenMissing"> & Marks = {}): Value<readonly string[]> {
  const { whenMissing, ...marks } = options;
  const isFile = (item: string) => item !== "" && !isUrl(item);
  return list({ check: checkSource, file: { isFile, ...(whenMissing && { whenMissing }) }, ...marks });
}

/** Describes addresses to listen on; see {@link parseAddresses}. */
export function addresses(marks: Marks = {}): Value<readonly ListenAddress[]> {
  const expected = 'an address such as "0.0.0.0:6969", or a list of them';
  const facts: Facts = { kind: "address, or list", json, open: "port", ...marks };
  return listOf(expected, facts, (items, refuse) => {
    if (items.length > 0 && items.every(isAddress)) return items;
    return areTexts(items, expected, refuse) ? parseAddresses(items, refuse) : undefined;
  });
}

function isAddress(item: unknown): item is ListenAddress {
  return typeof item === "object" && item !== null && "host" in item && "port" in item;
}
