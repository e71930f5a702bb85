import { type AnyBlock, Block } from "../options/index.ts";
import { type AnyValue, optionalBlocks, outline } from "./outline.ts";
import { UseList, UseValue } from "./uses.ts";

type Json = Record<string, unknown>;

/** Keys that may have no value. */
const mayBeEmpty = [...optionalBlocks, "frontends", "prehooks", "posthooks"];

/** Renders the JSON Schema (draft 2020-12) of a configuration file, for editors. */
export function renderJsonSchema(): string {
  const tracker = renderBlock(outline);
  const properties = tracker.properties as Record<string, Json>;
  for (const key of mayBeEmpty) properties[key]!.type = [properties[key]!.type, "null"];
  return `${JSON.stringify(
    {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      title: "Configuration of Chihaya for TypeScript",
      type: "object",
      properties: { chihaya: tracker },
      required: ["chihaya"],
      additionalProperties: false,
    },
    undefined,
    2,
  )}\n`;
}

function renderBlock({ fields }: AnyBlock): Json {
  const required = [...fields].filter(([, value]) => !value.mayBeMissing).map(([key]) => key);
  return {
    type: "object",
    properties: Object.fromEntries([...fields].map(([key, value]) => [key, renderValue(value)])),
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  };
}

function renderValue(value: AnyValue): Json {
  const { description, byDefault, facts } = value;
  return {
    ...(description !== "" && { description }),
    ...(byDefault !== undefined && { default: typed(byDefault, facts.json.type) }),
    ...renderKind(value),
  };
}

function renderKind(value: AnyValue): Json {
  if (value instanceof Block) return renderBlock(value);
  if (value instanceof UseValue) return renderUse(value);
  if (value instanceof UseList) return { type: "array", items: renderUse(value.item) };
  const { item } = value as { item?: AnyBlock };
  return { ...value.facts.json, ...(item && { items: renderBlock(item) }) };
}

/** Renders the choice between the built-ins, each with its own `name`, and a module. */
function renderUse({ variants, ofModule, definitions }: UseValue<unknown>): Json {
  const builtIn = [...variants].map(([name, block]) => {
    const json = renderBlock(block);
    const properties = json.properties as Record<string, Json>;
    const { enum: _, ...first } = properties.name!;
    const isDefault = first.default === name;
    if (!isDefault) delete first.default;
    const description = definitions.find((one) => one.name === name)?.description;
    const required = ((json.required ?? []) as string[]).filter((key) => key !== "name");
    return {
      ...(description !== undefined && { description }),
      ...json,
      properties: { ...properties, name: { ...first, const: name } },
      required: isDefault ? required : ["name", ...required],
    };
  });
  return { oneOf: [...builtIn, renderBlock(ofModule)] };
}

/** Converts a default that was given as text to the type of its value. */
function typed(byDefault: unknown, type: unknown): unknown {
  const isTyped = ["integer", "boolean", "number"].includes(type as string);
  return isTyped && typeof byDefault === "string" ? JSON.parse(byDefault) : byDefault;
}
