import type { FrontendDefinition } from "./define-frontend.ts";
import * as definitions from "./index.ts";

type Definitions = typeof definitions;

/** The options of the built-in frontends by their names, as in a config; a frontend without options is off. */
export type FrontendBlocks = {
  [Name in keyof Definitions]?:
    | (Definitions[Name] extends FrontendDefinition<infer Options, infer _Input> ? Options : never)
    | undefined;
};

/** The options that a program gives the built-in frontends, by their names; `false` turns a frontend off. */
export type FrontendInputs = {
  [Name in keyof Definitions]?:
    | (Definitions[Name] extends FrontendDefinition<infer _Options, infer Input> ? Input : never)
    | false;
};

/** The built-in frontends. The name of each is its key in a config and in the options of a program. */
export const builtIn: readonly FrontendDefinition[] = Object.values(definitions) as never;

/** Returns the options of a built-in frontend; undefined if the frontend is off. */
export function optionsOf(blocks: FrontendBlocks, name: string): unknown {
  return blocks[name as keyof FrontendBlocks];
}
