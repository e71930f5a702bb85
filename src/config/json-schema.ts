import { z } from "zod";
import { builtInHooks } from "./hooks/hooks.ts";
import { moduleHook } from "./hooks/module.ts";
import { schema } from "./schema.ts";
import { facts } from "./values.ts";

type Json = Record<string, unknown>;

/** JSON Schema (draft 2020-12) of a configuration file, for editors. */
export function renderJsonSchema(): string {
  const { $schema, ...tracker } = toJson(schema);
  const properties = tracker.properties as Record<string, Json>;
  for (const key of ["prehooks", "posthooks"]) properties[key]!.items = { oneOf: renderHooks() };
  for (const value of Object.values(properties)) typeDefaults(value);
  for (const key of ["http", "udp", "prehooks", "posthooks"]) {
    const { type } = properties[key]!;
    properties[key]!.type = [type, "null"]; // a key with nothing behind it
  }
  return `${JSON.stringify(
    {
      $schema,
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

function toJson(schema: z.ZodType): Json {
  return z.toJSONSchema(schema, {
    io: "input",
    override: ({ zodSchema, jsonSchema }) => {
      const json: Json | undefined = facts.get(zodSchema)?.json;
      if (json === undefined) return;
      delete (jsonSchema as Json).items;
      if (json.anyOf !== undefined) delete jsonSchema.type;
      Object.assign(jsonSchema, json);
    },
  }) as Json;
}

function renderHooks(): Json[] {
  return [...builtInHooks.map((hook) => hook.schema), moduleHook].map((hook) => {
    const { $schema, ...json } = toJson(hook);
    if (hook !== moduleHook) return json;
    const { name, ...properties } = json.properties as Json; // it is known by its module
    return { ...json, properties, required: ["module"] };
  });
}

/** Defaults are text in the schema; here they have the type of their value. */
function typeDefaults(json: Json): void {
  if (typeof json.default === "string" && ["integer", "boolean", "number"].includes(json.type as string)) {
    json.default = JSON.parse(json.default);
  }
  for (const below of Object.values((json.properties as Record<string, Json>) ?? {})) typeDefaults(below);
  for (const option of (json.oneOf as Json[]) ?? []) typeDefaults(option);
  if (json.items !== undefined) typeDefaults(json.items as Json);
}
