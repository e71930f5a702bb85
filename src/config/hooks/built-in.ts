import { z } from "zod";

/** A hook that the tracker brings along, as the configuration describes it. */
export interface BuiltInHook<Name extends string = string, Options = unknown> {
  readonly name: Name;
  readonly schema: z.ZodType<{ name: Name; options: Options }>;
}

/**
 * Describes a built-in hook.
 * @param options  checks what stands under `options`
 * @param example  what stands there in the documentation
 */
export function describeHook<const Name extends string, Options>(
  name: Name,
  about: { description: string; example: Readonly<Record<string, unknown>> },
  options: z.ZodType<Options>,
): BuiltInHook<Name, Options> {
  const schema = z
    .strictObject({ name: z.literal(name), options })
    .meta({ examples: [{ name, options: about.example }] })
    .describe(about.description);
  return { name, schema: schema as unknown as z.ZodType<{ name: Name; options: Options }> };
}
