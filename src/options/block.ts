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

/** Converts a key of YAML (`max_entries`) to camelCase (`maxEntries`). */
type Camel<Key extends string> = Key extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : Key;

/** The name of a key in a program. */
type NameOf<Field, Key> = Field extends Named<infer Name> ? Name : Camel<Key & string>;

/** What a value produces. */
type Produced<Field> = Field extends Value<infer T, infer _> ? T : never;

/** The options that a description produces; one that may be undefined is then missing. */
export type OutputOf<F extends Fields> = {
  [Key in keyof F as F[Key] extends WithoutOutput
    ? never
    : undefined extends Produced<F[Key]>
      ? never
      : NameOf<F[Key], Key>]: Produced<F[Key]>;
} & {
  [Key in keyof F as F[Key] extends WithoutOutput
    ? never
    : undefined extends Produced<F[Key]>
      ? NameOf<F[Key], Key>
      : never]?: Produced<F[Key]>;
};

/** The options that a program passes: an option with a default may be omitted. */
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

/** Converts a key of YAML (`max_entries`) to camelCase (`maxEntries`). */
export function toCamel(key: string): string {
  return key.replace(/_([a-z\d])/g, (_, letter: string) => letter.toUpperCase());
}

/** Reports a problem with a value: at a key, by its name in programs, or at a path that begins with such a name. */
export type Report<Output> = (at: (keyof Output & string) | Path, message: string) => void;

/** Options of a {@link Block}. */
export interface BlockOptions<Output> {
  /**
   * Checks values against each other if all of them could be read. The check may change `options`.
   * @param refuse  reports an error
   * @param warn    reports a value that is allowed but dubious
   */
  check?(options: Output, refuse: Report<Output>, warn: Report<Output>): void;
  /** Describes the block in messages; default `a block of keys`. */
  expected?: string;
}

/**
 * Describes a block of keys with values. Reading, defaults, documentation, JSON Schema and reload follow from this one
 * description. A block is also a schema for the options of a hook, a store or a frontend.
 */
export class Block<Output, Input> extends Value<Output, Input> implements OptionsSchema<Output, Input> {
  /** The values, by their keys in YAML. */
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

  /** Reads options. @param keys  spelling of the keys: `max_entries` in YAML, `maxEntries` in a program */
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

/** Reads a value. The default replaces a missing value, and also an invalid one, so that other values can be checked. */
function readField(field: Value<unknown, unknown>, given: unknown, path: Path, reader: Reader): unknown {
  if (given === undefined && field.mayBeMissing)
    return field.byDefault === undefined ? undefined : field.read(field.byDefault, path, reader);
  const value = field.read(given, path, reader);
  if (value !== undefined || field.byDefault === undefined) return value;
  return field.read(field.byDefault, path, new Reader("yaml"));
}

/** Adds the key `NAME_file` of a secret. Loading a configuration replaces this key by the text of the file. */
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
 * Describes the options of a hook, a store or a frontend, or a block in these options. Keys are those of YAML
 * (`max_entries`). Programs pass, and the code receives, the same names in camelCase (`maxEntries`).
 *
 *     options({
 *       url: text({ check: checkUrl }).describe("URL of the service."),
 *       timeout: duration(0.001).default("1s").describe("How long to wait for a response of the service."),
 *     })
 */
export function options<const F extends Fields>(
  fields: F,
  more: BlockOptions<OutputOf<F>> = {},
): Block<OutputOf<F>, InputOf<F>> {
  return new Block(fields, more);
}

/** A block with any keys. */
export type AnyBlock = Block<unknown, unknown>;

/** Describes a list of blocks. @param name  the noun for one block in messages: `level` */
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
