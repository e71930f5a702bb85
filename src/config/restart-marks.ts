import { builtIn } from "../frontend/built-in.ts";
import type { FrontendUse } from "../frontend/define-frontend.ts";
import { toCamel } from "../options/block.ts";
import { type AnyBlock, Block, type Path } from "../options/index.ts";
import type { Config } from "./config.ts";
import { outline } from "./outline.ts";
import type { RestartMark } from "./settle.ts";
import { UseList, UseValue } from "./uses.ts";

/** The parts of a configuration that use definitions. */
type Uses = Pick<Config, "frontends" | "storage" | "preHooks" | "postHooks">;

/**
 * Lists the values that a reload to this configuration cannot change, from the marks of the descriptions.
 * @param modules  descriptions of the options of modules, by the block that names the module
 */
export function restartMarks(
  config: Uses,
  modules: ReadonlyMap<unknown, AnyBlock> = new Map(),
): RestartMark[] {
  const marks: RestartMark[] = [];

  function addBlock(block: AnyBlock, name: string, path: Path): void {
    for (const [key, value] of block.fields) {
      const below = name === "" ? key : `${name}.${key}`;
      const at = [...path, value.programName ?? toCamel(key)];
      const { restart = false, open } = value.facts;
      if (value instanceof Block) {
        if (value.byDefault === undefined) marks.push({ name: below, path: at, identity: [] });
        addBlock(value, below, at);
      } else if (value instanceof UseValue) {
        marks.push({ name: `${below}.name`, path: at, identity: ["name", "module"] });
        addUse(value, config.storage, below, at);
      } else if (value instanceof UseList) {
        if (restart) marks.push({ name: below, path: at, identity: [] });
        for (const [index, use] of config[at[0] as "frontends" | "preHooks" | "postHooks"].entries())
          addUse(value.item, use, `${below}[${index}]`, [...at, index]);
      } else if (restart && value.hasOutput) {
        marks.push({ name: below, path: at, ...(open && { open }) });
      }
    }
  }

  function addUse(value: UseValue<unknown>, use: object, name: string, path: Path): void {
    const { optionsKey } = value;
    const options = modules.get(use) ?? value.blockOf(use)?.fields.get(optionsKey);
    if (options instanceof Block) addBlock(options, `${name}.${optionsKey}`, [...path, optionsKey]);
  }

  addBlock(outline, "", []);
  for (const { name, keepsUnset = [] } of builtIn) {
    for (const option of keepsUnset)
      marks.push({ name: "", path: [name, option], open: "empty", isSilent: true });
  }
  return marks;
}

/** Lists the values that a reload of the frontends alone cannot change. @param frontends  third-party frontends */
export function frontendMarks(
  frontends: readonly (FrontendUse & { name: "module"; module: string })[],
): RestartMark[] {
  const blocks = new Map<unknown, AnyBlock>();
  for (const use of frontends)
    if (use.definition.options instanceof Block) blocks.set(use, use.definition.options as AnyBlock);
  const storage = { name: "", config: undefined };
  const names: readonly unknown[] = ["frontends", ...builtIn.map(({ name }) => name)];
  return restartMarks({ frontends, storage, preHooks: [], postHooks: [] }, blocks).filter(({ path }) =>
    names.includes(path[0]),
  );
}
