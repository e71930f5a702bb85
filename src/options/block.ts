import { nearest } from "../lib/nearest.ts";
import { text } from "./scalars.ts";
import type { OptionsResult, OptionsSchema } from "./schema.ts";
import {
  describeInput,
  type MayBeMissing,
  type Named,
  type Path,
  Reader,
  Value,
  type WithoutOutput,
} from "./value.ts";

type Fields = Readonly<Record<string, Value<unknown, unknown>>>;

/** YAML's `max_entries` as a program spells it: `maxEntries`. */
type Camel<Key extends string> = Key extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : Key;

/** The name of a key in a program. */
type NameOf<Field, Key> = Field extends Named<infer Name> ? Name : Camel<Key & string>;

/** The options that a description makes. */
export type OutputOf<F extends Fields> = {
  [Key in keyof F as F[Key] extends WithoutOutput ? never : NameOf<F[Key], Key>]: F[Key] extends Value<
    infer T,
    infer _
  >
    ? T
    : never;
};

/** The options that a program gives: those with a default may be left out. */
export type InputOf<F extends Fields> = {
  [Key in keyof F as F[Key] extends WithoutOutput | MayBeMissing
    ? never
    : NameOf<F[Key], Key>]: F[Key]["input"];
} & {
  [Key in keyof F as F[Key] extends WithoutOutput
    ? never
    : F[Key] extends MayBeMissing
      ? NameOf<F[Key], Key>
      : never]?: F[Key]["input"];
};

/** Spells a key of YAML as a program does. */
export function toCamel(key: string): string {
  return key.replace(/_([a-z\d])/g, (_, letter: string) => letter.toUpperCase());
}

/** Says something of the value of a key, by its name in programs, or at the path from there. */
export type Say<Output> = (at: (keyof Output & string) | Path, message: string) => void;

/** What a block is described with besides its keys. */
export interface BlockOptions<Output> {
  /**
   * Checks values against each other, once all of them could be read. It may change them.
   * @param refuse  names the key as a program does, or the path from there
   * @param warn    the same for what is allowed and doubtful
   */
  check?(options: Output, refuse: Say<Output>, warn: Say<Output>): void;
  /** What is expected in the place of the block, for messages. */
  expected?: string;
}

/**
 * A block of keys with values, which are described once: reading, defaults, documentation, JSON Schema and what a reload
 * may change follow from it. It is a schema for the options of a hook, a store or a frontend too.
 */
export class Block<Output, Input> extends Value<Output, Input> implements OptionsSchema<Output, Input> {
  /** By YAML's keys. */
  readonly fields: ReadonlyMap<string, Value<unknown, unknown>>;
  readonly "~standard": OptionsSchema<Output, Input>["~standard"];

  constructor(fields: Fields, { check, expected = "a block of keys" }: BlockOptions<Output> = {}) {
    super({ kind: "", json: {} }, (input, path, reader) => this.#readBlock(input, path, reader));
    this.fields = new Map(Object.entries(fields).flatMap(withSecretFile));
    this.#check = check as BlockOptions<unknown>["check"];
    this.#expected = expected;
    const validate = (input: unknown) => this.validate(input, "program");
    this["~standard"] = { version: 1, vendor: "chihaya", validate };
  }

  readonly #check: BlockOptions<unknown>["check"];
  readonly #expected: string;

  /** Reads options; `keys` says how they are spelled. */
  validate(input: unknown, keys: "yaml" | "program"): OptionsResult<Output> {
    const reader = new Reader(keys);
    const value = this.read(input ?? {}, [], reader);
    return reader.issues.length > 0 ? { issues: reader.issues } : { value: value as Output };
  }

  #readBlock(input: unknown, path: Path, reader: Reader): Output | undefined {
    if (typeof input !== "object" || input === null || Array.isArray(input)) {
      const got = input === undefined ? "it is missing" : Array.isArray(input) ? "got a list" : "got a value";
      reader.refuse(path, `expected ${this.#expected}, ${got}`);
      return undefined;
    }
    const output: Record<string, unknown> = {};
    const before = reader.issues.length;
    for (const [key, field] of this.fields) {
      const name = field.programName ?? toCamel(key);
      const spelled = reader.keys === "yaml" ? key : name;
      const given = Object.hasOwn(input, spelled) ? (input as Record<string, unknown>)[spelled] : undefined;
      const value = readField(field, given, [...path, spelled], reader);
      if (field.hasOutput && value !== undefined) output[name] = value;
    }
    const isReadable = reader.issues.length === before;
    this.#refuseUnknown(input, path, reader);
    const at = (where: string | Path): Path => {
      const [name, ...below] = typeof where === "string" ? [where] : where;
      if (name === undefined) return path;
      return [...path, reader.keys === "yaml" ? this.#keyOf(name) : name, ...below];
    };
    if (isReadable)
      this.#check?.(
        output as Output,
        (where, message) => reader.refuse(at(where), message),
        (where, message) => reader.warn(at(where), message),
      );
    return output as Output;
  }

  #keyOf(name: string | number): string {
    for (const [key, { programName = toCamel(key) }] of this.fields) if (programName === name) return key;
    return `${name}`;
  }

  #refuseUnknown(input: object, path: Path, reader: Reader): void {
    const known = [...this.fields].flatMap(([key, { programName = toCamel(key), hasOutput }]) => {
      if (reader.keys === "yaml") return [key];
      return hasOutput ? [programName] : [];
    });
    for (const key of Object.keys(input)) {
      if (known.includes(key)) continue;
      const near = nearest(key, known);
      const remedy = near === undefined ? `known are ${known.join(", ")}` : `did you mean "${near}"?`;
      reader.refuse([...path, key], `unknown key; ${remedy}`, true);
    }
  }
}

/** Reads a value or its default, which also takes the place of one that is wrong, so that others can be checked. */
function readField(field: Value<unknown, unknown>, given: unknown, path: Path, reader: Reader): unknown {
  if (given === undefined && field.mayBeMissing)
    return field.byDefault === undefined ? undefined : field.read(field.byDefault, path, reader);
  const value = field.read(given, path, reader);
  if (value !== undefined || field.byDefault === undefined) return value;
  return field.read(field.byDefault, path, new Reader("yaml"));
}

/** A secret can be read from a file too; whoever loads a configuration does that. */
function withSecretFile([key, field]: [string, Value<unknown, unknown>]): [
  string,
  Value<unknown, unknown>,
][] {
  if (!field.facts.secret) return [[key, field]];
  const { restart = false } = field.facts;
  const file = text({ restart }).default("").describe(`File to read \`${key}\` from.`).withoutOutput();
  return [
    [key, field],
    [`${key}_file`, file],
  ];
}

/**
 * Describes the options of a hook, a store or a frontend, or a block among them. Keys are YAML's (`max_entries`); programs,
 * and the code that gets the options, spell them in camelCase (`maxEntries`).
 *
 *     options({
 *       url: text({ check: checkUrl }).describe("Where the service is."),
 *       timeout: duration(0.001).default("1s").describe("Time for its response."),
 *     })
 */
export function options<const F extends Fields>(
  fields: F,
  more: BlockOptions<OutputOf<F>> = {},
): Block<OutputOf<F>, InputOf<F>> {
  return new Block(fields, more);
}

/** A block of whichever keys. */
export type AnyBlock = Block<unknown, unknown>;

/** Describes a list of blocks. @param expected  what is expected in its place, for messages */
export function blocks<Output, Input>(
  block: Block<Output, Input>,
  {
    minimum = 0,
    maximum = Number.POSITIVE_INFINITY,
    name = "block",
  }: { minimum?: number; maximum?: number; name?: string } = {},
): Value<readonly Output[], readonly Input[]> & { readonly item: Block<Output, Input> } {
  const value = new Value<readonly Output[], readonly Input[]>(
    { kind: `list of ${name}s`, json: { type: "array", minItems: minimum, maxItems: maximum } },
    (input, path, reader) => {
      if (!Array.isArray(input)) {
        reader.refuse(path, `expected a list of ${name}s, got ${describeInput(input)}`);
        return undefined;
      }
      if (input.length < minimum) reader.refuse(path, `at least ${minimum} ${name} is needed`);
      if (input.length > maximum) reader.refuse(path, `at most ${maximum} ${name}s`);
      const before = reader.issues.length;
      const items = input.map((item, index) => block.read(item, [...path, index], reader));
      return reader.issues.length === before ? (items as Output[]) : undefined;
    },
  );
  return Object.assign(value, { item: block });
}
