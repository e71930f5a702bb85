import { quote } from "../lib/quote.ts";

/** Keys and indexes that lead to a value. */
export type Path = readonly (string | number)[];

/** One thing that is wrong with options. */
export interface Issue {
  readonly path: Path;
  readonly message: string;
  /** Whether the key itself is wrong, not its value. */
  readonly isKey: boolean;
}

/** Collects what is wrong while options are read. */
export class Reader {
  readonly issues: Issue[] = [];
  /** What is allowed and doubtful. */
  readonly warnings: Issue[] = [];
  /** How keys are spelled: as in YAML (`max_entries`), or as in a program (`maxEntries`). */
  readonly keys: "yaml" | "program";

  constructor(keys: "yaml" | "program") {
    this.keys = keys;
  }

  /** Refuses the value at `path`, or with `isKey` its key. */
  refuse(path: Path, message: string, isKey = false): void {
    this.issues.push({ path, message, isKey });
  }

  /** Warns of the value at `path`. */
  warn(path: Path, message: string): void {
    this.warnings.push({ path, message, isKey: false });
  }
}

/** What is known of a value besides how it is read; for generated files, masking and reloads. */
export interface Facts {
  /** The kind of value, in words for people: `duration`; "" for a block. */
  readonly kind: string;
  /** JSON Schema of the value as it stands in YAML. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Whether a change needs a restart. */
  readonly restart?: boolean;
  /**
   * What leaves the choice to the tracker: a port that is 0, or an empty value. A reload that leaves it open keeps what the
   * tracker has chosen.
   */
  readonly open?: "port" | "empty";
  /** Whether it is masked where it would be shown. It can be read from a file too, named by the same key with `_file`. */
  readonly secret?: boolean;
  /** Where only a part of it is secret: masks that part. */
  readonly mask?: (text: string) => string;
  /** Whether it names a file that a check of the configuration looks for. */
  readonly file?: FileFacts;
}

/** The marks that whoever describes a key may give to its value. */
export type Marks = Pick<Facts, "restart" | "open" | "secret" | "mask">;

/** What a check of the configuration says about files that a value names. */
export interface FileFacts {
  /** Whether the item names a file; always unless given. */
  readonly isFile?: (item: string) => boolean;
  /** Returns what is wrong with the file's text. The file is not opened without it. */
  readonly check?: (text: string) => string | undefined;
  /** Bytes that the text may have. */
  readonly limit?: number;
  /**
   * Says what follows from a file that is missing, which is only a warning then.
   * @param options  the block in which the value stands, as it was read
   */
  readonly whenMissing?: (options: Readonly<Record<string, unknown>>) => string;
}

/** Marks a value whose key may be left out. */
export interface MayBeMissing {
  readonly mayBeMissing: true;
}

/** Marks a value that is read and checked, and is not among the options. */
export interface WithoutOutput {
  readonly hasOutput: false;
}

/** Marks a value that programs know by another name than YAML's key in camelCase. */
export interface Named<Name extends string> {
  readonly programName: Name;
}

/**
 * One value of a description: reads what stands in YAML, where every scalar is text, or what a program gives. What it has
 * read it takes again unchanged.
 */
export class Value<T, Input = T> {
  readonly facts: Facts;
  description = "";
  /** As it would stand in YAML. */
  byDefault: unknown = undefined;
  readonly mayBeMissing: boolean = false;
  readonly hasOutput: boolean = true;
  /** Whether the key is accepted and has no effect. */
  readonly isObsolete: boolean = false;
  readonly programName: string | undefined = undefined;
  readonly #read: (input: unknown, path: Path, reader: Reader) => T | undefined;
  declare readonly input: Input;

  /** @param read  returns the value, or refuses it */
  constructor(facts: Facts, read: (input: unknown, path: Path, reader: Reader) => T | undefined) {
    this.facts = facts;
    this.#read = read;
  }

  /** Returns undefined where it has refused the input. */
  read(input: unknown, path: Path, reader: Reader): T | undefined {
    return this.#read(input, path, reader);
  }

  /** Changes what was read, before anything is said of the value; what it has changed it must leave as it is. */
  map<U>(change: (value: T) => U): Value<U> {
    return new Value<U>(this.facts, (input, path, reader) => {
      const before = reader.issues.length;
      const value = this.read(input, path, reader);
      return reader.issues.length === before ? change(value as T) : undefined;
    });
  }

  /** Says what the key means. */
  describe(description: string): this {
    this.description = description;
    return this;
  }

  /** Gives the value of a key that is left out, as text or as it is. */
  default(given: Input | string | readonly string[] | Record<string, never>): this & MayBeMissing {
    return Object.assign(this, { byDefault: given, mayBeMissing: true } as const);
  }

  /** Lets the key be left out; then there is no value. */
  optional(): Value<T | undefined, Input> & MayBeMissing {
    return Object.assign(this as unknown as Value<T | undefined, Input>, { mayBeMissing: true } as const);
  }

  /** Names the value for programs, where that is not YAML's key in camelCase. */
  as<const Name extends string>(name: Name): this & Named<Name> {
    return Object.assign(this, { programName: name } as const);
  }

  /** Takes the key, which files of Chihaya have, and does nothing with it. */
  obsolete(): this & WithoutOutput {
    return Object.assign(this.withoutOutput(), { isObsolete: true } as const);
  }

  /** Takes the key and leaves it out of the options. */
  withoutOutput(): this & WithoutOutput {
    return Object.assign(this, { hasOutput: false } as const);
  }
}

/**
 * Describes a key that is gone: takes any value, does nothing with it, and warns.
 * @param now  says what happens now: `Redis selects the peers of every announce`
 */
export function removed(now: string): Value<unknown, never> & MayBeMissing & WithoutOutput {
  const facts: Facts = { kind: "", json: { deprecated: true } };
  const value = new Value<unknown, never>(facts, (_input, path, reader) => {
    reader.warn(path, `has no effect any more: ${now}; remove the key`);
    return undefined;
  });
  return value.describe(`Removed: ${now}.`).optional().obsolete();
}

/** Says what kind of thing somebody has given instead of the right one. */
export function describeInput(input: unknown): string {
  if (typeof input === "string") return quote(input);
  if (typeof input === "number" || typeof input === "boolean") return `${input}`;
  if (Array.isArray(input)) return "a list";
  return input === null || input === undefined ? "nothing" : "a mapping";
}
