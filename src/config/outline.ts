import { z } from "zod";
import type { Path } from "./diagnostics.ts";
import { builtInHooks } from "./hooks/hooks.ts";
import { schema } from "./schema.ts";
import type { Plain } from "./tree.ts";
import { type Facts, facts } from "./values.ts";

/** One key of the configuration, as the schema describes it. */
export interface Field {
  key: string;
  description: string;
  /** As in the file; undefined where there is none. */
  default: Plain | undefined;
  /** Where it is a value. */
  facts: Facts | undefined;
  /** Where it is a block: the keys below it. */
  fields: readonly Field[];
  /** Where it is a list of hooks: each known one. */
  hooks: readonly HookOutline[];
  /** Where the keys depend on `name`: those of each name. `fields` are those of the first, which is the default. */
  variants: readonly Variant[];
}

/** One of the blocks that can stand at a place, told apart by their `name`. */
export interface Variant {
  name: string;
  fields: readonly Field[];
}

/** A known hook, with the keys below `options` and an example. */
export interface HookOutline {
  name: string;
  description: string;
  fields: readonly Field[];
  example: Plain;
}

/** What zod knows of a schema, as far as it is needed here. */
interface Definition {
  type: string;
  innerType?: z.ZodType;
  in?: z.ZodType;
  element?: z.ZodType;
  defaultValue?: Plain;
  shape?: Record<string, z.ZodType>;
  options?: z.ZodType[];
  values?: string[];
}

const definition = (type: z.ZodType) => type.def as unknown as Definition;

function toField(key: string, type: z.ZodType): Field {
  const field: Field = {
    ...{ key, description: "", default: undefined, facts: undefined },
    ...{ fields: [], hooks: [], variants: [] },
  };
  for (let inner: z.ZodType | undefined = type; inner !== undefined; ) {
    const { description } = z.globalRegistry.get(inner) ?? {};
    if (field.description === "") field.description = description ?? "";
    const found = definition(inner);
    field.default ??= found.defaultValue;
    field.facts = facts.get(inner);
    if (field.facts !== undefined) break;
    if (found.shape) field.fields = Object.entries(found.shape).map(([name, below]) => toField(name, below));
    if (found.element) field.hooks = builtInHooks.map(({ schema }) => toHook(schema));
    if (found.options) field.variants = found.options.map(toVariant);
    inner = found.innerType ?? found.in ?? found.options?.[0];
  }
  return field;
}

function toVariant(type: z.ZodType): Variant {
  let name = definition(type).shape!.name!;
  for (let inner = definition(name).innerType; inner; inner = definition(name).innerType) name = inner;
  return { name: definition(name).values![0]!, fields: toField("", type).fields };
}

function toHook(type: z.ZodType): HookOutline {
  const { description = "", examples = [] } = z.globalRegistry.get(type) ?? {};
  const { name, options } = definition(type).shape!;
  const { fields } = toField("options", options!);
  return { name: definition(name!).values![0]!, description, fields, example: (examples as Plain[])[0]! };
}

/** All that can stand under `chihaya:`. */
export const outline: Field = toField("chihaya", schema);

/** A single value outside of the hooks. */
interface Leaf {
  path: readonly string[];
  field: Field;
}

/** Each of them, once also where several variants of a block have it. */
export const leaves: readonly Leaf[] = collect(outline, []);

function collect(block: Field, path: readonly string[]): Leaf[] {
  const variants = block.variants.length > 0 ? block.variants : [block];
  const found = new Map<string, Leaf>();
  for (const field of variants.flatMap(({ fields }) => fields)) {
    const below = [...path, field.key];
    for (const leaf of field.facts ? [{ path: below, field }] : collect(field, below)) {
      const name = leaf.path.join(".");
      if (!found.has(name)) found.set(name, leaf);
    }
  }
  return [...found.values()];
}

/** The keys of a block: of the variant that it names, or else of the default. */
export function fieldsOf(field: Field, block: Plain | undefined): readonly Field[] {
  const { name } = (block ?? {}) as { name?: Plain };
  return field.variants.find((variant) => variant.name === name)?.fields ?? field.fields;
}

/** Keys whose values are never shown. */
export const secretKeys: readonly string[] = leaves
  .filter(({ field }) => field.facts?.secret)
  .map(({ field }) => field.key);

/** The keys that may stand at `path` of a document. */
export function knownKeys(document: Plain, path: Path): string[] {
  let field = outline;
  let { fields } = outline;
  let value: Plain | undefined = document;
  for (const [index, step] of path.entries()) {
    value = (value as Record<string | number, Plain> | null | undefined)?.[step];
    if (typeof step === "number") {
      const { name, module } = (value ?? {}) as { name?: Plain; module?: Plain };
      if (module !== undefined && name === undefined)
        return ["module", "options", "timeout", "max_in_flight"];
      const hook = field.hooks.find((known) => known.name === name);
      if (path[index + 1] === "options") return knownOptions(hook, path.slice(index + 2));
      return ["name", "options"];
    }
    const next = fields.find(({ key }) => key === step);
    if (next === undefined) return [];
    field = next;
    fields = fieldsOf(field, value);
  }
  return fields.map(({ key }) => key);
}

/** The keys of a hook's options, or of the items of one that is a list of blocks. */
function knownOptions(hook: HookOutline | undefined, [key, ...below]: Path): string[] {
  const fields = hook?.fields ?? [];
  if (key === undefined) return fields.map((field) => field.key);
  const json = fields.find((field) => field.key === key)?.facts?.json as
    | { items?: { properties?: object } }
    | undefined;
  return below.length === 1 ? Object.keys(json?.items?.properties ?? {}) : [];
}

/** What the document says at the path of a value, or its default. */
export function valueAt(document: Plain, path: readonly string[], field: Field): Plain | undefined {
  let value: Plain | undefined = document;
  for (const step of path) value = (value as Record<string, Plain> | null | undefined)?.[step];
  return value ?? field.default;
}
