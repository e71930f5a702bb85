import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { checkOptions, optionPath } from "../middleware/define-hook.ts";
import type { Config } from "./config.ts";
import type { Diagnostics, Path } from "./diagnostics.ts";
import type { ModuleHookConfig } from "./hooks/module.ts";
import { importHookDefinition } from "./import-hook.ts";
import { find, locate, type TreeMapping, toNatural } from "./tree.ts";

/** Gives the hooks of one's own the URL of their module, and their options with YAML's types. */
export function locateModules(config: Config, root: TreeMapping, file: string): void {
  for (const { hook, path } of moduleHooks(config)) {
    const options = find(root, [...path, "options"]);
    hook.options = options === undefined ? undefined : (toNatural(options) ?? undefined);
    hook.module = locateModule(hook.module, file);
  }
}

/** Has each module check the options it is given; reports what it says with its place. */
export async function checkModules(
  config: Config,
  root: TreeMapping,
  diagnostics: Diagnostics,
): Promise<void> {
  for (const { hook, path } of moduleHooks(config)) {
    const report = (below: Path, message: string, isKey = false) => {
      const at = [...path, ...below];
      diagnostics.error(locate(root, at, isKey), at, message);
    };
    try {
      const definition = await importHookDefinition(hook.module);
      const { issues = [] } = await checkOptions(definition, hook.options);
      for (const issue of issues) report(["options", ...optionPath(issue.path)], issue.message);
    } catch (error) {
      report(["module"], (error as Error).message);
    }
  }
}

function* moduleHooks(config: Config): Generator<{ hook: ModuleHookConfig; path: Path }> {
  for (const [list, hooks] of [
    ["prehooks", config.preHooks],
    ["posthooks", config.postHooks],
  ] as const) {
    for (const [index, hook] of hooks.entries()) {
      if (hook.name === "module") yield { hook, path: [list, index] };
    }
  }
}

/** A path is seen from the folder of the configuration; anything else is a package that is installed there. */
function locateModule(module: string, file: string): string {
  if (/^file:/.test(module)) return module;
  if (/^(\.{0,2}\/|[a-z]:\\)/i.test(module)) return pathToFileURL(resolve(dirname(file), module)).href;
  try {
    return pathToFileURL(createRequire(resolve(file)).resolve(module)).href;
  } catch {
    return module; // whoever imports it says that it is not there
  }
}
