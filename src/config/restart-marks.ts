import { toCamel } from "../options/block.ts";
import { type AnyBlock, Block, type Path } from "../options/index.ts";
import type { Config } from "./config.ts";
import { outline } from "./outline.ts";
import type { RestartMark } from "./settle.ts";
import { UseList, UseValue } from "./uses.ts";

/** The parts of a configuration that name definitions. */
type Uses = Pick<Config, "storage" | "preHooks" | "postHooks">;

/**
 * Lists what a reload to this configuration cannot change, from the marks of the descriptions.
 * @param modules  descriptions of the options of what comes from modules, by the block that names the module
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
        for (const [index, use] of config[at[0] as "preHooks" | "postHooks"].entries())
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
  // Listeners that stay until the restart keep their certificate where none is named any more.
  marks.push({ name: "", path: ["http", "tls"], open: "empty", isSilent: true });
  return marks;
}
