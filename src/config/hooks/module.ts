import { z } from "zod";
import { defaultLimits } from "../../middleware/with-deadline.ts";
import { duration, integer, text } from "../values.ts";

/** A hook of one's own, before its module has been looked into. */
export interface ModuleHookConfig {
  name: "module";
  /** URL of the module. */
  module: string;
  /** As they were written, with YAML's types; the module's schema has accepted them. */
  options: unknown;
  /** Seconds. */
  timeout: number;
  maxInFlight: number;
}

export const moduleHook: z.ZodType<ModuleHookConfig> = z
  .strictObject({
    name: z.literal("module"),
    module: text().describe(
      "File (`./my-hook.ts`, seen from the configuration's folder) or package whose default export is a `defineHook`.",
    ),
    options: z.unknown().optional(),
    timeout: duration(0.001)
      .prefault(`${defaultLimits.timeout}s`)
      .describe("Time after which a request does not wait any longer for a hook that answers later."),
    max_in_flight: integer(1, 1_000_000)
      .prefault(`${defaultLimits.maxInFlight}`)
      .describe("Requests that may wait for the hook at once; the next are refused."),
  })
  .transform(
    ({ module, options, timeout, max_in_flight }): ModuleHookConfig => ({
      name: "module",
      module,
      options,
      timeout,
      maxInFlight: max_in_flight,
    }),
  );

/** Marks an item of the list of hooks as one of one's own; such a one has no name. */
export function nameModule(item: unknown, { issues }: { issues: z.core.$ZodRawIssue[] }): unknown {
  if (typeof item !== "object" || item === null || !("module" in item)) return item;
  if (!("name" in item)) return { ...item, name: "module" };
  const message = "give name or module, not both: a built-in hook has a name, one of your own a module";
  issues.push({ code: "custom", message, input: item, path: ["module"] });
  return z.NEVER;
}
