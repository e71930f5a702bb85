import { quote } from "../lib/quote.ts";

/** Keys and indexes that lead to a value. */
export type Path = readonly (string | number)[];

/** One problem with options. */
export interface Issue {
  readonly path: Path;
  readonly message: string;
  /** Whether the key itself is wrong, not its value. */
  readonly isKey: boolean;
}

/** Collects problems while options are read. */
export class Reader {
  readonly issues: Issue[] = [];
  /** Values that are allowed but dubious. */
  readonly warnings: Issue[] = [];
  /** Spelling of the keys: `max_entries` in YAML, `maxEntries` in a program. */
  readonly keys: "yaml" | "program";

  constructor(keys: "yaml" | "program") {
    this.keys = keys;
  }

  /** Refuses the value at `path`, or with `isKey` its key. */
  refuse(path: Path, message: string, isKey = false): void {
    this.issues.push({ path, message, isKey });
  }

  /** Warns about the value at `path`. */
  warn(path: Path, message: string): void {
    this.warnings.push({ path, message, isKey: false });
  }
}

/** Facts about a value for generated files, masking and reloads. */
export interface Facts {
  /** The kind of value in documentation: `duration`; "" for a block. */
  readonly kind: string;
  /** JSON Schema of the value in YAML. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Whether a change needs a restart. */
  readonly restart?: boolean;
  /**
   * The value that lets the tracker choose: port 0, or an empty value. A reload with such a value keeps the earlier choice.
   */
  readonly open?: "port" | "empty";
  /** Whether output masks the value. A secret can also come from a file, under the same key with `_file`. */
  readonly secret?: boolean;
  /** Masks the secret part of a value; default: the whole value. */
  readonly mask?: (text: string) => string;
  /** Set if the value names a file, which a check of the configuration then looks for. */
  readonly file?: FileFacts;
}

/** The facts that a description may set. */
export type Marks = Pick<Facts, "restart" | "open" | "secret" | "mask">;

/** Facts about files that a value names, for the check of a configuration. */
export interface FileFacts {
  /** Whether an item names a file; by default every item does. */
  readonly isFile?: (item: string) => boolean;
  /** Returns the error of the file's text. Without a check, the file is not opened. */
  readonly check?: (text: string) => string | undefined;
  /** Maximum length of the text in bytes. */
  readonly limit?: number;
  /**
   * Turns the error about a missing file into a warning, and returns its text: the consequence of the missing file.
   * @param options  the block that contains the value, as it was read
   */
  readonly whenMissing?: (options: Readonly<Record<string, unknown>>) => string;
}

/** Marks a value whose key may be omitted. */
export interface MayBeMissing {
  readonly mayBeMissing: true;
}

/** Marks a value that is read and checked, but not part of the options. */
export interface WithoutOutput {
  readonly hasOutput: false;
}

/** Marks a value whose name in programs is not YAML's key in camelCase. */
export interface Named<Name extends string> {
  readonly programName: Name;
}

/**
 * Describes one value. Reads it from YAML, where every scalar is text, or from a program. Reading the result again returns
 * the same result.
 */
export class Value<T, Input = T> {
  readonly facts: Facts;
  description = "";
  /** The default, in the form of YAML. */
  byDefault: unknown = undefined;
  readonly mayBeMissing: boolean = false;
  readonly hasOutput: boolean = true;
  /** Whether the key is accepted without effect. */
  readonly isObsolete: boolean = false;
  readonly programName: string | undefined = undefined;
  readonly #read: (input: unknown, path: Path, reader: Reader) => T | undefined;
  declare readonly input: Input;

  /** @param read  returns the value; or reports the error to the reader and returns undefined */
  constructor(facts: Facts, read: (input: unknown, path: Path, reader: Reader) => T | undefined) {
    this.facts = facts;
    this.#read = read;
  }

  /** Reads the value; returns undefined if the input was refused. */
  read(input: unknown, path: Path, reader: Reader): T | undefined {
    return this.#read(input, path, reader);
  }

  /**
   * Converts the value after reading. Call it before `describe` and `default`, which it does not copy.
   * @param change  must return its own results unchanged
   */
  map<U>(change: (value: T) => U): Value<U> {
    return new Value<U>(this.facts, (input, path, reader) => {
      const before = reader.issues.length;
      const value = this.read(input, path, reader);
      return reader.issues.length === before ? change(value as T) : undefined;
    });
  }

  /** Sets the documentation of the key. */
  describe(description: string): this {
    this.description = description;
    return this;
  }

  /** Sets the value of an omitted key, as text of YAML or as a value. */
  default(given: Input | string | readonly string[] | Record<string, never>): this & MayBeMissing {
    return Object.assign(this, { byDefault: given, mayBeMissing: true } as const);
  }

  /** Lets the key be omitted; the option is then undefined. */
  optional(): Value<T | undefined, Input> & MayBeMissing {
    return Object.assign(this as unknown as Value<T | undefined, Input>, { mayBeMissing: true } as const);
  }

  /** Sets the name in programs if it is not YAML's key in camelCase. */
  as<const Name extends string>(name: Name): this & Named<Name> {
    return Object.assign(this, { programName: name } as const);
  }

  /** Accepts a key of Chihaya's files without effect. */
  obsolete(): this & WithoutOutput {
    return Object.assign(this.withoutOutput(), { isObsolete: true } as const);
  }

  /** Reads and checks the key, but leaves it out of the options. */
  withoutOutput(): this & WithoutOutput {
    return Object.assign(this, { hasOutput: false } as const);
  }
}

/**
 * Describes a removed key: accepts any value without effect, and warns.
 * @param now  the present behaviour: `Redis selects the peers of every announce`
 */
export function removed(now: string): Value<unknown, never> & MayBeMissing & WithoutOutput {
  const facts: Facts = { kind: "", json: { deprecated: true } };
  const value = new Value<unknown, never>(facts, (_input, path, reader) => {
    reader.warn(path, `has no effect any more: ${now}; remove the key`);
    return undefined;
  });
  return value.describe(`Removed: ${now}.`).optional().obsolete();
}

/** Describes an input for an error message: a quoted text, a number, or the kind of value. */
export function describeInput(input: unknown): string {
  if (typeof input === "string") return quote(input);
  if (typeof input === "number" || typeof input === "boolean") return `${input}`;
  if (Array.isArray(input)) return "a list";
  return input === null || input === undefined ? "nothing" : "a mapping";
}
