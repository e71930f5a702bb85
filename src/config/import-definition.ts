import * as nodeModule from "node:module";
import { extname } from "node:path";
import type { OptionsSchema } from "../options/schema.ts";

/** The modules of this package that others may import, under whichever extension they run. */
export const ownModules: Readonly<Record<string, string>> = Object.fromEntries(
  [
    ["chihaya", "index"],
    ["chihaya/hooks", "hooks/index"],
    ["chihaya/options", "options/index"],
    ["chihaya/testing", "testing"],
    ["chihaya/storage/conformance", "storage/conformance"],
  ].map(([name, file]) => [name, new URL(`../${file}${extname(import.meta.url)}`, import.meta.url).href]),
);

let isServed = false;

/**
 * Lets modules import the very tracker that runs them, wherever they lie: `import { ClientError } from "chihaya"` needs no
 * installation beside them, and no second copy, whose errors this one would not know, comes in. Node.js before 22.15
 * cannot do that: there they must find it installed.
 */
export function serveOwnPackage(): void {
  if (isServed) return;
  isServed = true;
  const { registerHooks } = nodeModule as Partial<typeof nodeModule>;
  registerHooks?.({
    resolve(specifier, context, next) {
      const url = ownModules[specifier];
      return url === undefined ? next(specifier, context) : { url, shortCircuit: true };
    },
  });
}

/** What every definition has. */
export interface Definition {
  readonly name: string;
  readonly options?: OptionsSchema<unknown>;
  packages?(options: never): readonly string[];
}

/**
 * Loads the module of a definition.
 * @param module  its URL
 * @param define  the function that makes such a definition, for messages
 * @throws Error that says what is wrong with it
 */
export async function importDefinition(module: string, define: string): Promise<Definition> {
  serveOwnPackage();
  let exported: { default?: unknown };
  try {
    exported = (await import(module)) as { default?: unknown };
  } catch (error) {
    throw new Error(`cannot load ${module}: ${explain(error as NodeJS.ErrnoException)}`, { cause: error });
  }
  const definition = exported.default as (Partial<Definition> & { create?: unknown }) | undefined;
  if (typeof definition?.name !== "string" || typeof definition.create !== "function") {
    throw new Error(`${module} has no default export made by ${define}`);
  }
  return definition as Definition;
}

function explain({ code, message }: NodeJS.ErrnoException): string {
  if (code === "ERR_UNKNOWN_FILE_EXTENSION" && message.includes('".ts"')) {
    return "this Node.js does not run TypeScript; compile it to JavaScript, or use Node.js 22.18 or newer";
  }
  if (code === "ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING") {
    return "Node.js runs no TypeScript of packages; the package should contain JavaScript";
  }
  return message.replace(/ imported from .*/, "");
}
