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

/** What is needed of a definition to describe its use. */
export interface Usable {
  readonly name: string;
  readonly description?: string;
  readonly options?: unknown;
  readonly example?: Readonly<Record<string, unknown>>;
}

/** What a use is described with. */
export interface UseOptions {
  /** `hook`, for messages. */
  what: string;
  /** What the options stand under. */
  optionsKey: "options" | "config";
  /** The built-in ones. */
  definitions: readonly Usable[];
  /** The one that is used where none is named. */
  byDefault?: string;
  restart?: boolean;
  /** Keys of one of somebody's own, beside the options. */
  module: Readonly<Record<string, Value<unknown, unknown>>>;
}

/** The use of a definition: of a built-in by its `name`, of one of somebody's own by its `module`. */
export class UseValue<T> extends Value<T> {
  readonly #options: UseOptions;
  /** What stands there for each built-in, by its name. */
  readonly variants: ReadonlyMap<string, AnyBlock>;
  /** What stands there for one of somebody's own. */
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

  /** The block that a document says, or the default's. */
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
        const message = `give name or module, not both: a built-in ${what} has a name, one of your own a module`;
        reader.refuse([...path, "module"], message);
        return undefined;
      }
      return { name: "module", ...(this.ofModule.read(input, path, reader) as T) };
    }
    const block = this.variants.get(name as string);
    if (block !== undefined) return block.read({ ...input, name }, path, reader) as T;
    reader.refuse(this.variants.size === 0 ? path : [...path, "name"], this.#unknown(name));
    // What can be read as the default's lets others be checked against it.
    return this.variants
      .get(`${byDefault}`)
      ?.read({ ...input, name: byDefault }, path, new Reader("yaml")) as T;
  }

  #unknown(name: unknown): string {
    const { what } = this.#options;
    const names = [...this.variants.keys()];
    if (names.length === 0) return `a ${what} of your own needs the key "module"`;
    const known = `known ${what}s are ${names.map((one) => JSON.stringify(one)).join(", ")}`;
    if (typeof name !== "string") return `a ${what} needs a name, or the module it comes from; ${known}`;
    const near = nearest(name, names);
    return `unknown ${what} ${quote(name)}; ${near === undefined ? known : `did you mean ${JSON.stringify(near)}?`}`;
  }
}

/** The options may be left out as a whole; keys that are missing are named one by one. */
function withDefault(options: unknown): AnyBlock {
  return (options as AnyBlock).default({});
}

/** A list of uses. In the place of one that is wrong stands one without a name, so that the others keep their indexes. */
export class UseList<T> extends Value<readonly T[]> {
  readonly item: UseValue<T>;

  /** @param restart  whether a reload cannot add, remove or exchange one */
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

/** The module that a definition of somebody's own comes from. @param example  `my-hook` */
export function moduleField(example: string, define: string): Value<string> {
  return text().describe(
    `File (\`./${example}.ts\`, seen from the configuration's folder) or package whose default export is a \`${define}\`.`,
  );
}
