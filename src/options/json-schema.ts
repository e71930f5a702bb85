import { type AnyBlock, Block } from "./block.ts";
import type { Value } from "./value.ts";

type Json = Record<string, unknown>;
type AnyValue = Value<unknown, unknown>;
type Render = (value: AnyValue) => Json;

/** Renders the JSON Schema (draft 2020-12) of a block. @param render  renders the value of each key */
export function renderBlock({ fields }: AnyBlock, render: Render): Json {
  const required = [...fields].filter(([, value]) => !value.mayBeMissing).map(([key]) => key);
  return {
    type: "object",
    properties: Object.fromEntries([...fields].map(([key, value]) => [key, render(value)])),
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  };
}

/** Renders a value without its description and default. @param render  renders the values of the blocks in it */
export function renderKind(value: AnyValue, render: Render): Json {
  if (value instanceof Block) return renderBlock(value, render);
  const { item } = value as { item?: AnyBlock };
  return { ...value.facts.json, ...(item && { items: renderBlock(item, render) }) };
}
