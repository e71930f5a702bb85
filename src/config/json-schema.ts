import { renderBlock, renderKind } from "../options/json-schema.ts";
import { type AnyValue, isOptional, outline } from "./outline.ts";
import { UseList, UseValue } from "./uses.ts";

type Json = Record<string, unknown>;

/** Keys that may have no value. */
const mayBeEmpty = ["frontends", "prehooks", "posthooks"];

/** Renders the JSON Schema (draft 2020-12) of a configuration file, for editors. */
export function renderJsonSchema(): string {
  const tracker = renderBlock(outline, renderValue);
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

function renderValue(value: AnyValue): Json {
  const { description, byDefault, facts } = value;
  return {
    ...(description !== "" && { description }),
    ...(byDefault !== undefined && { default: typed(byDefault, facts.json.type) }),
    ...renderAnyKind(value),
    ...(isOptional(value) && { type: ["object", "null"] }),
  };
}

function renderAnyKind(value: AnyValue): Json {
  if (value instanceof UseValue) return renderUse(value);
  if (value instanceof UseList) return { type: "array", items: renderUse(value.item) };
  return renderKind(value, renderValue);
}

/** Renders the choice between the built-ins, each with its own `name`, and a module. */
function renderUse({ variants, ofModule, definitions }: UseValue<unknown>): Json {
  const builtIn = [...variants].map(([name, block]) => {
    const json = renderBlock(block, renderValue);
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
  return { oneOf: [...builtIn, renderBlock(ofModule, renderValue)] };
}

/** Converts a default that was given as text to the type of its value. */
function typed(byDefault: unknown, type: unknown): unknown {
  const isTyped = ["integer", "boolean", "number"].includes(type as string);
  return isTyped && typeof byDefault === "string" ? JSON.parse(byDefault) : byDefault;
}
