import { z } from "zod";
import type { ListenAddress } from "../ip/listen-address.ts";
import { parseDuration } from "../lib/duration.ts";
import { parseAddresses } from "./addresses.ts";
import { quote } from "./diagnostics.ts";

/** What the schema knows of a value besides how to read it; for the generated files and for masking. */
export interface Facts {
  /** The kind of value, in words for people: `duration`. */
  kind: string;
  /** JSON Schema of the value as it stands in YAML. */
  json: Record<string, unknown>;
  /** Taken only at start, not by a reload. */
  restart?: boolean;
  /** Masked wherever it would be shown, and readable from a file named by the same key with `_file`. */
  secret?: boolean;
  /** Where only a part of it is secret: masks that part. */
  mask?: (text: string) => string;
  /** Accepted from files of Chihaya, and without effect. */
  obsolete?: boolean;
}

/** The facts of each value in the schema. */
export const facts: z.core.$ZodRegistry<Facts> = z.registry<Facts>();

/** A value; as input it is text, or (only for lists) texts. */
export type Value<T> = z.ZodType<T, unknown>;
type Marks = Pick<Facts, "restart" | "secret" | "mask" | "obsolete">;

/** Why a value is refused. */
class Wrong {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

function describeInput(input: unknown): string {
  if (typeof input === "string") return quote(input);
  if (Array.isArray(input)) return "a list";
  return input === null || input === undefined ? "nothing" : "a mapping";
}

function scalar<T>(expected: string, own: Facts, read: (text: string) => T | Wrong): Value<T> {
  const text = z.string({ error: ({ input }) => `expected ${expected}, got ${describeInput(input)}` });
  return text
    .transform((input, context) => {
      const value = read(input);
      if (!(value instanceof Wrong)) return value;
      context.issues.push({ code: "custom", message: value.message, input });
      return z.NEVER;
    })
    .register(facts, own);
}

/** Refuses the item at `index`. */
type Refuse = (index: number, message: string) => void;

function listOf<T>(expected: string, own: Facts, read: (items: string[], refuse: Refuse) => T): Value<T> {
  const error = ({ input }: { input?: unknown }) => `expected ${expected}, got ${describeInput(input)}`;
  return z
    .preprocess(
      (input) => (typeof input === "string" ? input.split(",").filter((part) => part.trim() !== "") : input),
      z.array(z.string({ error }), { error }),
    )
    .transform(
      (items, context): T =>
        read(
          items.map((item) => item.trim()),
          (index, message) => context.issues.push({ code: "custom", message, input: items, path: [index] }),
        ),
    )
    .register(facts, own);
}

/** Text; `check` returns what is wrong with it. */
export function text(options: { check?: (text: string) => string | undefined } & Marks = {}): Value<string> {
  const { check, ...marks } = options;
  return scalar("text", { kind: "text", json: { type: "string" }, ...marks }, (input) => {
    const wrong = check?.(input);
    return wrong === undefined ? input : new Wrong(wrong);
  });
}

/** True or false; also in the other words of YAML 1.1, which Chihaya's parser takes. */
export function boolean(marks: Marks = {}): Value<boolean> {
  const own: Facts = { kind: "true \\| false", json: { type: "boolean" }, ...marks };
  return scalar("true or false", own, (input) => {
    if (/^(true|yes|on)$/i.test(input)) return true;
    if (/^(false|no|off)$/i.test(input)) return false;
    return new Wrong(`expected true or false, got ${quote(input)}`);
  });
}

/**
 * A whole number of that range; `_` may stand between digits, as in YAML 1.1.
 * @param options.refusal  begins the message about a wrong one
 */
export function integer(
  minimum: number,
  maximum: number,
  options: { refusal?: string } & Marks = {},
): Value<number> {
  const { refusal, ...marks } = options;
  const expected = `a whole number from ${minimum} to ${maximum}`;
  const message = `${refusal === undefined ? "" : `${refusal}; `}expected ${expected}`;
  const json = { type: "integer", minimum, maximum };
  const own: Facts = { kind: `whole number, ${minimum} to ${maximum}`, json, ...marks };
  return scalar(expected, own, (input) => {
    const value = /^\d[\d_]*$/.test(input) ? Number(input.replaceAll("_", "")) : Number.NaN;
    return value >= minimum && value <= maximum ? value : new Wrong(`${message}, got ${quote(input)}`);
  });
}

/** One of a few words. */
export function choice<const T extends string>(words: readonly T[], marks: Marks = {}): Value<T> {
  const expected = `one of ${words.join(", ")}`;
  const own: Facts = { kind: words.join(" \\| "), json: { enum: words }, ...marks };
  return scalar(expected, own, (input) => {
    return words.find((word) => word === input) ?? new Wrong(`expected ${expected}, got ${quote(input)}`);
  });
}

/** A whole number of that range, or the word `auto`. */
export function integerOrAuto(minimum: number, maximum: number, marks: Marks = {}): Value<number | "auto"> {
  const expected = `auto or a whole number from ${minimum} to ${maximum}`;
  const json = { anyOf: [{ const: "auto" }, { type: "integer", minimum, maximum }] };
  return scalar(
    expected,
    { kind: `auto \\| whole number, ${minimum} to ${maximum}`, json, ...marks },
    (input) => {
      if (input === "auto") return input;
      const value = /^\d+$/.test(input) ? Number(input) : Number.NaN;
      return value >= minimum && value <= maximum
        ? value
        : new Wrong(`expected ${expected}, got ${quote(input)}`);
    },
  );
}

/** A number that `accept` takes; otherwise `refusal` is the message. */
export function number(
  json: Record<string, unknown>,
  refusal: string,
  accept: (value: number) => boolean,
): Value<number> {
  return scalar("a number", { kind: "number", json: { type: "number", ...json } }, (input) => {
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(input) ? Number(input) : Number.NaN;
    return accept(value) ? value : new Wrong(`${refusal}, got ${quote(input)}`);
  });
}

/** Longest duration, in seconds: what a timer of Node can wait, in whole hours. */
const maxDuration = 596 * 3600;

/** A duration in seconds, at least `minimum`; with `whole` no fraction of a second. */
export function duration(minimum: number, options: { whole?: boolean } & Marks = {}): Value<number> {
  const { whole = false, ...marks } = options;
  const text = { type: "string", pattern: "^(0|([0-9]+(\\.[0-9]*)?(h|ms|m|s|us|\u00b5s|\u03bcs|ns))+)$" };
  const json = minimum > 0 ? text : { anyOf: [text, { const: 0 }] };
  const example = 'a duration such as "30m", "1h30m" or "15s"';
  const kind = minimum > 0 ? `duration, at least ${minimum < 1 ? "1ms" : `${minimum}s`}` : "duration";
  return scalar(example, { kind, json, ...marks }, (input) => {
    const seconds = parseDuration(input);
    if (seconds === undefined) {
      const remedy = /^\d+$/.test(input) ? `; for seconds write "${input}s"` : "";
      return new Wrong(`expected ${example}, got ${quote(input)}${remedy}`);
    }
    if (whole && !Number.isInteger(seconds)) return new Wrong(`expected whole seconds, got ${quote(input)}`);
    if (seconds < minimum) return new Wrong(`must be at least ${minimum}s, got ${quote(input)}`);
    if (seconds > maxDuration)
      return new Wrong(`must be at most ${maxDuration / 3600}h, got ${quote(input)}`);
    return seconds;
  });
}

const listJson = { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] };

/** A list of texts; one, or several with commas between, are fine too. `check` returns what is wrong with one. */
export function list(
  options: { check?: (item: string) => string | undefined } & Marks = {},
): Value<readonly string[]> {
  const { check, ...marks } = options;
  return listOf("a list of texts", { kind: "list", json: listJson, ...marks }, (items, refuse) => {
    for (const [index, item] of items.entries()) {
      const wrong = check?.(item);
      if (wrong !== undefined) refuse(index, wrong);
    }
    return items;
  });
}

/** Addresses to listen on; see {@link parseAddresses}. */
export function addresses(marks: Marks = {}): Value<readonly ListenAddress[]> {
  const expected = 'an address such as "0.0.0.0:6969", or a list of them';
  return listOf(expected, { kind: "address, or list", json: listJson, ...marks }, parseAddresses);
}
