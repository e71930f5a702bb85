import type { HookDefinition } from "./define-hook.ts";

/**
 * Loads the module of a hook.
 * @param module  its URL
 * @throws Error that says what is wrong with it
 */
export async function importHookDefinition(module: string): Promise<HookDefinition> {
  let exported: { default?: unknown };
  try {
    exported = (await import(module)) as { default?: unknown };
  } catch (error) {
    throw new Error(`cannot load ${module}: ${explain(error as NodeJS.ErrnoException)}`, { cause: error });
  }
  const definition = exported.default as Partial<HookDefinition> | undefined;
  if (typeof definition?.name !== "string" || typeof definition.create !== "function") {
    throw new Error(`${module} has no default export made by defineHook`);
  }
  return definition as HookDefinition;
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
