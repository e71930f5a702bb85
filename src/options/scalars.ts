import { parseDuration } from "../lib/duration.ts";
import { describeInput, type Facts, type FileFacts, type Marks, Value } from "./value.ts";

/** Returns the error of a text; undefined if it is valid. */
export type Check = (text: string) => string | undefined;

/** Describes a value that is one scalar in YAML. @param read  returns the value or the error */
function scalar<T extends string | number | boolean>(
  expected: string,
  facts: Facts,
  read: (input: T | string) => { value: T } | { problem: string },
  type: "string" | "number" | "boolean" = "string",
): Value<T> {
  return new Value<T>(facts, (input, path, reader) => {
    if (typeof input !== "string" && typeof input !== type) {
      reader.refuse(path, `expected ${expected}, got ${describeInput(input)}`);
      return undefined;
    }
    const result = read(input as T | string);
    if ("value" in result) return result.value;
    reader.refuse(path, result.problem);
    return undefined;
  });
}

const refusal = (expected: string, input: unknown) => ({
  problem: `${expected}, got ${describeInput(input)}`,
});

/** Describes a text. @param options.check  returns the error of a text */
export function text(options: { check?: Check } & Marks = {}): Value<string> {
  const { check, ...marks } = options;
  return scalar<string>("text", { kind: "text", json: { type: "string" }, ...marks }, (input) => {
    const problem = check?.(input);
    return problem === undefined ? { value: input } : { problem: problem };
  });
}

/**
 * Describes the path of a file; "" means no file. A check of the configuration reports a missing file, and a file whose
 * text `check` refuses.
 */
export function file(options: FileFacts & Marks = {}): Value<string> {
  const { isFile, check, limit, whenMissing, ...marks } = options;
  const found: FileFacts = {
    isFile: (path) => path !== "",
    ...(check && { check }),
    ...(limit !== undefined && { limit }),
    ...(whenMissing && { whenMissing }),
  };
  const facts = { kind: "text", json: { type: "string" }, file: found, ...marks };
  return scalar<string>("text", facts, (input) => ({ value: input }));
}

/** Describes true or false, also as `yes`, `no`, `on` or `off` (YAML 1.1), which Chihaya's parser accepts. */
export function boolean(marks: Marks = {}): Value<boolean> {
  const facts: Facts = { kind: "true \\| false", json: { type: "boolean" }, ...marks };
  return scalar<boolean>(
    "true or false",
    facts,
    (input) => {
      if (typeof input === "boolean") return { value: input };
      if (/^(true|yes|on)$/i.test(input)) return { value: true };
      if (/^(false|no|off)$/i.test(input)) return { value: false };
      return refusal("expected true or false", input);
    },
    "boolean",
  );
}

/** Reads a whole number; `_` may stand between digits, as in YAML 1.1. */
function toInteger(input: number | string): number {
  if (typeof input === "number") return Number.isInteger(input) ? input : Number.NaN;
  return /^\d[\d_]*$/.test(input) ? Number(input.replaceAll("_", "")) : Number.NaN;
}

/**
 * Describes a whole number in a range.
 * @param options.reason  begins the error message about any other number
 */
export function integer(
  minimum: number,
  maximum: number,
  options: { reason?: string } & Marks = {},
): Value<number> {
  const { reason, ...marks } = options;
  const expected = `a whole number from ${minimum} to ${maximum}`;
  const message = `${reason === undefined ? "" : `${reason}; `}expected ${expected}`;
  const json = { type: "integer", minimum, maximum };
  const facts: Facts = { kind: `whole number, ${minimum} to ${maximum}`, json, ...marks };
  return scalar<number>(
    expected,
    facts,
    (input) => {
      const value = toInteger(input);
      return value >= minimum && value <= maximum ? { value } : refusal(message, input);
    },
    "number",
  );
}

/** Describes a whole number in a range, or the word `auto`. */
export function integerOrAuto(minimum: number, maximum: number, marks: Marks = {}): Value<number | "auto"> {
  const expected = `auto or a whole number from ${minimum} to ${maximum}`;
  const json = { anyOf: [{ const: "auto" }, { type: "integer", minimum, maximum }] };
  return scalar<number | "auto">(
    expected,
    { kind: `auto \\| whole number, ${minimum} to ${maximum}`, json, ...marks },
    (input) => {
      if (input === "auto") return { value: input };
      const value = toInteger(input);
      return value >= minimum && value <= maximum ? { value } : refusal(`expected ${expected}`, input);
    },
    "number",
  );
}

/** The range of {@link number}. */
export interface NumberRange {
  /** Excluded lower bound; replaces `minimum`. */
  above?: number;
  minimum?: number;
  maximum?: number;
  /** Begins the error message about a number outside the range. */
  reason?: string;
}

/** Describes a number in a range. */
export function number(options: NumberRange & Marks): Value<number> {
  const { above, minimum, maximum, reason, ...marks } = options;
  const from = above === undefined ? `from ${minimum ?? 0}` : `above ${above}`;
  const to = maximum === undefined ? "" : above === undefined ? ` to ${maximum}` : ` and at most ${maximum}`;
  const message = `${reason === undefined ? "" : `${reason}; `}expected a number ${from}${to}`;
  const json = {
    type: "number",
    ...(above === undefined ? { minimum: minimum ?? 0 } : { exclusiveMinimum: above }),
    ...(maximum !== undefined && { maximum }),
  };
  return scalar<number>(
    "a number",
    { kind: "number", json, ...marks },
    (input) => {
      const isNumber = typeof input === "number" || /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(input);
      const value = isNumber ? Number(input) : Number.NaN;
      const isWithin = above === undefined ? value >= (minimum ?? 0) : value > above;
      return isWithin && value <= (maximum ?? Number.MAX_VALUE) ? { value } : refusal(message, input);
    },
    "number",
  );
}

/** Describes one of a few words. */
export function choice<const T extends string>(words: readonly T[], marks: Marks = {}): Value<T> {
  const expected = `one of ${words.join(", ")}`;
  const facts: Facts = {
    kind: words.join(" \\| "),
    json: { type: "string", enum: words },
    ...marks,
  };
  return scalar<T>(expected, facts, (input) => {
    const value = words.find((word) => word === input);
    return value === undefined ? refusal(`expected ${expected}`, input) : { value };
  });
}

/** Longest duration, in seconds: the longest timer of Node.js, in whole hours. */
const maxDuration = 596 * 3600;

/**
 * Describes a duration of at least `minimum` and at most `maximum` seconds: text such as `30m` in YAML, seconds in a program.
 */
export function duration(
  minimum: number,
  options: { whole?: boolean; maximum?: number } & Marks = {},
): Value<number> {
  const { whole = false, maximum = maxDuration, ...marks } = options;
  const text = { type: "string", pattern: "^(0|([0-9]+(\\.[0-9]*)?(h|ms|m|s|us|\u00b5s|\u03bcs|ns))+)$" };
  const json = minimum > 0 ? text : { anyOf: [text, { const: 0 }] };
  const kind = [
    "duration",
    ...(minimum > 0 ? [`at least ${minimum < 1 ? "1ms" : `${minimum}s`}`] : []),
    ...(maximum < maxDuration ? [`at most ${showSeconds(maximum)}`] : []),
  ].join(", ");
  const example = 'a duration such as "30m", "1h30m" or "15s"';
  return scalar<number>(
    example,
    { kind, json, ...marks },
    (input) => {
      const seconds = typeof input === "number" ? input : parseDuration(input);
      if (seconds === undefined) {
        const remedy = /^\d+$/.test(`${input}`) ? `; for seconds write "${input}s"` : "";
        return { problem: `expected ${example}, got ${describeInput(input)}${remedy}` };
      }
      if (whole && !Number.isInteger(seconds)) return refusal("expected whole seconds", input);
      if (!(seconds >= minimum)) return refusal(`must be at least ${minimum}s`, input);
      if (seconds > maximum) return refusal(`must be at most ${showSeconds(maximum)}`, input);
      return { value: seconds };
    },
    "number",
  );
}

function showSeconds(seconds: number): string {
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  return seconds < 1 ? `${Math.round(seconds * 1e6) / 1e3}ms` : `${seconds}s`;
}

/** Whether a source is a URL, not a file. */
export function isUrl(source: string): boolean {
  return /^https?:/i.test(source);
}

/** Checks a URL that is fetched with http or https. The error does not show the URL, which may hold a secret. */
export function checkUrl(url: string): string | undefined {
  const { protocol, username, password } = URL.parse(url) ?? {};
  if (protocol !== "http:" && protocol !== "https:") return "expected a URL with http or https";
  return username || password ? "a URL with a user cannot be fetched" : undefined;
}

/** Checks that a text is not empty. */
export function checkNotEmpty(text: string): string | undefined {
  return text === "" ? "must not be empty" : undefined;
}
