import { z } from "zod";
import { schema } from "./schema.ts";
import { facts } from "./values.ts";

type Json = Record<string, unknown>;

/** JSON Schema (draft 2020-12) of a configuration file, for editors. */
export function renderJsonSchema(): string {
  const { $schema, ...tracker } = z.toJSONSchema(schema, {
    io: "input",
    override: ({ zodSchema, jsonSchema }) => {
      const json: Json | undefined = facts.get(zodSchema)?.json;
      if (json === undefined) return;
      delete (jsonSchema as Json).items;
      if (json.anyOf !== undefined) delete jsonSchema.type;
      Object.assign(jsonSchema, json);
    },
  }) as Json;
  const properties = tracker.properties as Record<string, Json>;
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

/** Defaults are text in the schema; here they have the type of their value. */
function typeDefaults(json: Json): void {
  if (typeof json.default === "string" && ["integer", "boolean", "number"].includes(json.type as string)) {
    json.default = JSON.parse(json.default);
  }
  for (const below of Object.values((json.properties as Record<string, Json>) ?? {})) typeDefaults(below);
  for (const option of (json.oneOf as Json[]) ?? []) typeDefaults(option);
  if (json.items !== undefined) typeDefaults(json.items as Json);
}
