import * as nodeModule from "node:module";
import { extname } from "node:path";
import type { OptionsSchema } from "../options/schema.ts";

/** The public modules of this package, by specifier. The URLs have the extension that is running: `.ts` or `.js`. */
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
 * Makes `import { ClientError } from "chihaya"` in a module return the tracker that runs the module, wherever the module
 * lies. The module needs no installation of its own. A second copy of the package would have another `ClientError`, which
 * this one would not recognise. Needs Node.js 22.15; in older versions the package must be installed beside the module.
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

/** The properties of every definition. */
export interface Definition {
  readonly name: string;
  readonly options?: OptionsSchema<unknown>;
  packages?(options: never): readonly string[];
}

/**
 * Loads the module of a definition.
 * @param module  its URL
 * @param define  the function that makes such a definition, for messages
 * @throws Error with the reason why the module cannot be used
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
    return "Node.js does not run TypeScript inside node_modules; the package must contain JavaScript";
  }
  return message.replace(/ imported from .*/, "");
}
