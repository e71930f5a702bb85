import { nearest } from "../lib/nearest.ts";
import { quote } from "../lib/quote.ts";
import {
  type AnyBlock,
  Block,
  choice,
  type Facts,
  type Path,
  Reader,
  text,
  Value,
} from "../options/index.ts";

/** The part of a definition that describes its use. */
export interface Usable {
  readonly name: string;
  readonly description?: string;
  readonly options?: unknown;
  readonly example?: Readonly<Record<string, unknown>>;
}

/** Options of {@link UseValue}. */
export interface UseOptions {
  /** The kind of definition for messages: `hook`. */
  what: string;
  /** Key of the options. */
  optionsKey: "options" | "config";
  /** The built-in definitions. */
  definitions: readonly Usable[];
  /** Name of the built-in that is used if the document names none. */
  byDefault?: string;
  restart?: boolean;
  /** Keys of a third-party use, besides the options. */
  module: Readonly<Record<string, Value<unknown, unknown>>>;
}

/** The use of a definition: a built-in by its `name`, or a third-party one by its `module`. */
export class UseValue<T> extends Value<T> {
  readonly #options: UseOptions;
  /** The block of each built-in, by its name. */
  readonly variants: ReadonlyMap<string, AnyBlock>;
  /** The block of a third-party definition. */
  readonly ofModule: AnyBlock;

  constructor(options: UseOptions) {
    super({ kind: "", json: {} }, (input, path, reader) => this.#readUse(input, path, reader));
    const { what, optionsKey, definitions, byDefault, restart = false } = options;
    this.#options = options;
    const names = definitions.map(({ name }) => name);
    const places = definitions.map(({ name, description }) => `\`${name}\`, ${description}`).join("; or ");
    this.variants = new Map(
      definitions.map((definition) => {
        const name = choice(names, { restart }).describe(`Which ${what}: ${places}.`);
        if (byDefault !== undefined) name.default(byDefault);
        const own = definition.options === undefined ? {} : { [optionsKey]: withDefault(definition.options) };
        return [definition.name, new Block({ name, ...own })];
      }),
    );
    const raw = new Value<unknown>({ kind: "mapping", json: {} }, (input) => input);
    this.ofModule = new Block({ ...options.module, [optionsKey]: raw.optional() });
  }

  get optionsKey(): "options" | "config" {
    return this.#options.optionsKey;
  }

  get definitions(): readonly Usable[] {
    return this.#options.definitions;
  }

  /** Returns the block of the definition that a document names, or of the default. */
  blockOf(use: unknown): AnyBlock | undefined {
    const { name = this.#options.byDefault, module } = (use ?? {}) as Record<string, unknown>;
    return module === undefined ? this.variants.get(`${name}`) : this.ofModule;
  }

  #readUse(input: unknown, path: Path, reader: Reader): T | undefined {
    const { what, optionsKey, byDefault } = this.#options;
    if (typeof input !== "object" || input === null || Array.isArray(input)) {
      const key = this.variants.size === 0 ? "module" : "name";
      reader.refuse(path, `expected a ${what}: a mapping with ${key} and ${optionsKey}`);
      return undefined;
    }
    const { name = byDefault, module } = input as Record<string, unknown>;
    if (module !== undefined) {
      if ("name" in input) {
        const message = `give name or module, not both: name for a built-in ${what}, module for your own`;
        reader.refuse([...path, "module"], message);
        return undefined;
      }
      return { name: "module", ...(this.ofModule.read(input, path, reader) as T) };
    }
    const block = this.variants.get(name as string);
    if (block !== undefined) return block.read({ ...input, name }, path, reader) as T;
    reader.refuse(this.variants.size === 0 ? path : [...path, "name"], this.#unknown(name));
    // Reads the block as the default's, so that other values can be checked against it.
    return this.variants
      .get(`${byDefault}`)
      ?.read({ ...input, name: byDefault }, path, new Reader("yaml")) as T;
  }

  #unknown(name: unknown): string {
    const { what } = this.#options;
    const names = [...this.variants.keys()];
    if (names.length === 0) return `your own ${what} needs the key "module"`;
    const known = `known ${what}s are ${names.map((one) => JSON.stringify(one)).join(", ")}`;
    if (typeof name !== "string") return `a ${what} needs the key "name" or "module"; ${known}`;
    const near = nearest(name, names);
    return `unknown ${what} ${quote(name)}; ${near === undefined ? known : `did you mean ${JSON.stringify(near)}?`}`;
  }
}

/** Makes the whole block of options optional; required keys in it are still reported one by one. */
function withDefault(options: unknown): AnyBlock {
  return (options as AnyBlock).default({});
}

/** A list of uses. A use with an error is replaced by a use without a name, so that the others keep their indexes. */
export class UseList<T> extends Value<readonly T[]> {
  readonly item: UseValue<T>;

  /** @param restart  whether adding, removing or exchanging a use needs a restart */
  constructor(item: UseValue<T>, { restart = false }: Pick<Facts, "restart"> = {}) {
    super({ kind: "", json: {}, restart }, (input, path, reader) => {
      if (!Array.isArray(input)) {
        reader.refuse(path, "expected a list, each item after a dash");
        return undefined;
      }
      return input.map((use, index) => {
        const before = reader.issues.length;
        const value = item.read(use, [...path, index], reader);
        return (reader.issues.length === before ? value : { name: "" }) as T;
      });
    });
    this.item = item;
  }
}

/** Describes the module of a third-party definition. @param example  `my-hook` @param define  `defineHook` */
export function moduleField(example: string, define: string): Value<string> {
  return text().describe(
    `File (\`./${example}.ts\`, relative to the folder of the configuration) or package. Its default export comes from \`${define}\`.`,
  );
}
