/** The process of `loadConfigInChildProcess`: its argument is `file` and `set` as JSON, its one message the result. */
import { loadConfigAndModules } from "./load.ts";

const { file, set } = JSON.parse(process.argv[2]!) as { file?: string; set?: string[] };
// Exits, because the module of a hook may have begun something that goes on.
process.send?.(await loadConfigAndModules({ file, set, env: process.env }), () => process.exit());
