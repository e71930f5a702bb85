import { accessSync, constants, statSync } from "node:fs";
import { createRequire } from "node:module";
import * as builtInHooks from "../hooks/index.ts";
import { cannotRead, explainSystemError } from "../lib/file-errors.ts";
import { installRemedy } from "../lib/install-remedy.ts";
import { isPipe } from "../lib/open-file.ts";
import { readText } from "../lib/read-text.ts";
import type { HookDefinition } from "../middleware/define-hook.ts";
import { toCamel } from "../options/block.ts";
import { type AnyBlock, Block, type CheckReport, type FileFacts, type Value } from "../options/index.ts";
import * as builtInStores from "../storage/index.ts";
import type { Config, HookConfig } from "./config.ts";
import type { Path } from "./diagnostics.ts";

/** The part of a definition that a check of the configuration reads. */
interface Checkable {
  readonly name: string;
  readonly options?: unknown;
  packages?(options: never): readonly string[];
}

/** Finds the definition of a built-in hook. */
export function findHook({ name }: Pick<HookConfig, "name">): HookDefinition | undefined {
  const hooks: readonly HookDefinition[] = Object.values(builtInHooks);
  return hooks.find((hook) => hook.name === name);
}

/** Checks that the files and packages of the built-in hooks and of the store exist. */
export function checkDefinitions({ storage, preHooks, postHooks }: Config, report: CheckReport): void {
  const store = Object.values(builtInStores).find(({ name }) => name === storage.name);
  if (store !== undefined) checkNeeds(store, storage.config, ["storage"], "config", import.meta.url, report);
  for (const [list, hooks] of Object.entries({ prehooks: preHooks, posthooks: postHooks })) {
    for (const [index, hook] of hooks.entries()) {
      const definition = findHook(hook);
      if (definition === undefined || !report.isReadable([list, index])) continue;
      checkNeeds(definition, hook.options, [list, index], "options", import.meta.url, report);
    }
  }
}

/**
 * Checks that the files and packages of one definition exist.
 * @param options      the options as they were read
 * @param at           path of the block that uses the definition
 * @param optionsKey   key of the options in that block
 * @param from         URL of the module that imports the packages
 */
export function checkNeeds(
  definition: Checkable,
  options: unknown,
  at: Path,
  optionsKey: string,
  from: string,
  report: Pick<CheckReport, "error" | "warning">,
): void {
  visitFiles(definition, options, [...at, optionsKey], (file, facts, own, path) =>
    checkFile(facts, file, own, path, report),
  );
  for (const name of definition.packages?.(options as never) ?? []) {
    if (isInstalled(name, from)) continue;
    const remedy = from === import.meta.url ? installRemedy(name) : `install it with "npm install ${name}"`;
    report.error(at, `${definition.name} needs the package "${name}": ${remedy}`);
  }
}

function isInstalled(name: string, from: string): boolean {
  try {
    createRequire(from).resolve(name);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ERR_PACKAGE_PATH_NOT_EXPORTED"; // exported to `import` only
  }
}

/** Lists the files that the options of one definition name. */
export function filesOf(definition: Checkable, options: unknown): string[] {
  const files: string[] = [];
  visitFiles(definition, options, [], (file, { isFile }) => {
    if (isFile?.(file) !== false) files.push(file);
  });
  return files;
}

/** Receives the value of a file, with the options around it and its place. */
type VisitFile = (
  file: string,
  facts: FileFacts,
  options: Readonly<Record<string, unknown>>,
  at: Path,
) => void;

function visitFiles({ options: block }: Checkable, options: unknown, at: Path, visit: VisitFile): void {
  if (block instanceof Block) visitBlock(block, options as Record<string, unknown>, at, visit);
}

function visitBlock(
  { fields }: AnyBlock,
  options: Readonly<Record<string, unknown>>,
  at: Path,
  visit: VisitFile,
): void {
  for (const [key, value] of fields) {
    const given = options[value.programName ?? toCamel(key)];
    if (given === undefined) continue;
    for (const [below, item] of itemsOf(given)) {
      const path = [...at, key, ...below];
      const block = (value as Value<unknown> & { item?: AnyBlock }).item;
      if (block !== undefined) visitBlock(block, item as Record<string, unknown>, path, visit);
      else if (value.facts.file !== undefined) visit(item as string, value.facts.file, options, path);
    }
  }
}

function itemsOf(value: unknown): (readonly [below: Path, item: unknown])[] {
  return Array.isArray(value) ? value.map((item, index) => [[index], item]) : [[[], value]];
}

function checkFile(
  { isFile, check, limit, whenMissing }: FileFacts,
  path: string,
  options: Readonly<Record<string, unknown>>,
  at: Path,
  report: Pick<CheckReport, "error" | "warning">,
): void {
  if (isFile?.(path) === false) return;
  const problem = check === undefined ? fileProblem(path) : textProblem(path, check, limit);
  if (problem === undefined) return;
  if (whenMissing === undefined) report.error(at, problem);
  else report.warning(at, `${problem}; ${whenMissing(options)}`);
}

/** Returns why a file cannot be read; undefined if it can. */
function fileProblem(path: string): string | undefined {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) return cannotRead(path, "is a directory, not a file");
    if (stat.isFIFO()) return cannotRead(path, isPipe);
    accessSync(path, constants.R_OK);
    return undefined;
  } catch (error) {
    return cannotRead(path, explainSystemError(error));
  }
}

function textProblem(
  path: string,
  check: NonNullable<FileFacts["check"]>,
  limit: number | undefined,
): string | undefined {
  const read = readText(path, limit);
  if ("problem" in read) return cannotRead(path, read.problem);
  const problem = check(read.text);
  return problem === undefined ? undefined : `${path} ${problem}`;
}
