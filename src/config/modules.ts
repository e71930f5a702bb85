import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type AnyBlock, Block } from "../options/index.ts";
import { checkOptions, issuePath } from "../options/schema.ts";
import type { Config } from "./config.ts";
import { checkNeeds } from "./definition-checks.ts";
import type { Diagnostics, Path } from "./diagnostics.ts";
import { importDefinition } from "./import-definition.ts";
import { find, locate, type TreeMapping, toNatural, toPlain } from "./tree.ts";

/** The use of a module. */
interface ModuleUse {
  /** URL of the module. */
  module: string;
  options?: unknown;
  config?: unknown;
}

/** A use of a module, with its place in the configuration. */
interface FoundModule {
  use: ModuleUse;
  path: Path;
  optionsKey: "options" | "config";
  /** The function that makes its default export. */
  define: "defineHook" | "defineStore" | "defineFrontend";
}

/** Replaces the specifier of each module by its URL, and reads its options with YAML's types. */
export function locateModules(config: Config, root: TreeMapping, file: string): void {
  for (const { use, path, optionsKey } of modulesOf(config)) {
    const options = find(root, [...path, optionsKey]);
    use[optionsKey] = options === undefined ? undefined : (toNatural(options) ?? undefined);
    use.module = locateModule(use.module, file);
  }
}

/**
 * Imports each module, checks its options with its schema, and reports each problem with its place. Options that are
 * described by `chihaya/options` are read like those of built-ins.
 * @returns the descriptions by `chihaya/options`, by the block that names the module
 */
export async function checkModules(
  config: Config,
  root: TreeMapping,
  diagnostics: Diagnostics,
): Promise<ReadonlyMap<unknown, AnyBlock>> {
  const blocks = new Map<unknown, AnyBlock>();
  for (const { use, path, optionsKey, define } of modulesOf(config)) {
    const report = (at: Path, message: string, isKey = false) =>
      diagnostics.error(locate(root, at, isKey), at, message);
    const warn = (at: Path, message: string) => diagnostics.warning(locate(root, at), at, message);
    try {
      const definition = await importDefinition(use.module, define);
      const own = definition.options instanceof Block ? definition.options : undefined;
      const given = find(root, [...path, optionsKey]);
      const result = own
        ? own.validate(given && toPlain(given), "yaml")
        : await checkOptions(definition, use[optionsKey], define.slice("define".length).toLowerCase());
      if (result.issues === undefined) {
        if (own) {
          use[optionsKey] = result.value;
          blocks.set(use, own);
        }
        const needs = { error: report, warning: warn };
        checkNeeds(definition, result.value, path, optionsKey, use.module, needs);
      }
      for (const issue of result.issues ?? [])
        report([...path, optionsKey, ...issuePath(issue)], issue.message, "isKey" in issue && !!issue.isKey);
    } catch (error) {
      report([...path, "module"], (error as Error).message);
    }
  }
  return blocks;
}

function* modulesOf({ frontends, storage, preHooks, postHooks }: Config): Generator<FoundModule> {
  for (const [index, use] of frontends.entries())
    yield { use, path: ["frontends", index], optionsKey: "options", define: "defineFrontend" };
  if ("module" in storage) {
    const use = storage as unknown as ModuleUse;
    yield { use, path: ["storage"], optionsKey: "config", define: "defineStore" };
  }
  for (const [list, hooks] of Object.entries({ prehooks: preHooks, posthooks: postHooks })) {
    for (const [index, hook] of hooks.entries()) {
      if (hook.module === undefined) continue;
      yield { use: hook, path: [list, index], optionsKey: "options", define: "defineHook" };
    }
  }
}

/** Resolves a path relative to the folder of the configuration, and any other specifier as a package installed there. */
function locateModule(module: string, file: string): string {
  if (/^file:/.test(module)) return module;
  if (/^(\.{0,2}\/|[a-z]:\\)/i.test(module)) return pathToFileURL(resolve(dirname(file), module)).href;
  try {
    return pathToFileURL(createRequire(resolve(file)).resolve(module)).href;
  } catch {
    return module; // the import will report that the package is missing
  }
}
