import { builtIn, optionsOf } from "../frontend/built-in.ts";
import type { FrontendDefinition, FrontendUse } from "../frontend/define-frontend.ts";
import type { Config } from "./config.ts";
import { importDefinition } from "./import-definition.ts";

/** Finds the frontends of a configuration: the built-in ones with a block, then those from modules. */
export async function findFrontends(config: Config): Promise<FrontendUse[]> {
  const found: FrontendUse[] = [];
  await mapFrontends(config, async (frontend) => {
    found.push(frontend);
    return frontend.options;
  });
  return found;
}

/** Changes the options of each frontend. @returns a configuration with the changed ones */
export async function mapFrontends(
  config: Config,
  change: (frontend: FrontendUse) => Promise<unknown>,
): Promise<Config> {
  const blocks: Record<string, unknown> = {};
  for (const definition of builtIn) {
    const options = optionsOf(config, definition.name);
    if (options !== undefined) blocks[definition.name] = await change({ definition, options });
  }
  const frontends = [];
  for (const use of config.frontends) {
    const definition = (await importDefinition(use.module, "defineFrontend")) as FrontendDefinition;
    frontends.push({ ...use, options: await change({ definition, options: use.options }) });
  }
  return { ...config, ...blocks, frontends };
}
