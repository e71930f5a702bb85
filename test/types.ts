/** Types of the library, checked by the compiler alone: the options of a hook follow from its schema, to the end. */
import { z } from "zod";
import type { Config } from "../src/config/config.ts";
import { createTracker, defineHook, type HookDefinition, type OptionsSchema, useHook } from "../src/index.ts";

const definedWithZod: HookDefinition<
  { rate: number; name: string },
  { rate: number; name?: string | undefined }
> = defineHook({
  name: "zod",
  options: z.strictObject({ rate: z.number(), name: z.string().default("x") }),
  create(options, { clock, metrics }) {
    options satisfies { rate: number; name: string };
    // @ts-expect-error the schema has no such option
    options.burst;
    clock.seconds satisfies number;
    metrics.counter("x_total", "X").inc(options.rate);
    return {
      handleAnnounce(request, response, context) {
        response.interval += options.rate;
        context.signal satisfies AbortSignal;
        // @ts-expect-error the address is not to be replaced
        request.address = response;
      },
    };
  },
});
useHook(definedWithZod, { rate: 3 });
// @ts-expect-error a rate is needed
useHook(definedWithZod, {});
// @ts-expect-error a number
useHook(definedWithZod, { rate: "3" });

declare const schema: OptionsSchema<{ files: string[] }>;
const definedByHand: HookDefinition<{ files: string[] }> = defineHook({
  name: "by hand",
  options: schema,
  create: ({ files }) => {
    files satisfies string[];
    return {};
  },
});
useHook(definedByHand, { files: ["as the document has it"] });

const withoutOptions: HookDefinition<undefined> = defineHook({
  name: "none",
  create: (options) => {
    options satisfies undefined;
    return {};
  },
});
useHook(withoutOptions);

// @ts-expect-error a verdict is a ClientError or nothing
defineHook({ name: "wrong", create: () => ({ handleAnnounce: () => "no" }) });

// The built-in frontends and their options are typed, in a program and in a config, by the list of their definitions.
createTracker({ http: { maxNumWant: 3, listen: [{ host: "::", port: 0 }] }, udp: false });
// @ts-expect-error there is no such option
createTracker({ http: { maxNumWants: 3 } });
// @ts-expect-error a number
createTracker({ udp: { maxNumWant: "3" } });
// @ts-expect-error there is no such frontend
createTracker({ gopher: {} });
// @ts-expect-error a number
void createTracker().reload({ http: { maxNumWant: "3" } });
declare const config: Config;
config.http?.maxConnections satisfies number | undefined;
config.udp?.privateKey satisfies string | undefined;
// @ts-expect-error there is no such frontend
config.gopher;
