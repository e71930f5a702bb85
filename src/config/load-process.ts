/** The child process of `loadConfigInChildProcess`. Its argument is `file` and `set` as JSON; it sends the result as one message. */
import { loadConfigAndModules } from "./load.ts";

const { file, set } = JSON.parse(process.argv[2]!) as { file?: string; set?: string[] };
// Exits explicitly: a module may have started a timer or a connection that keeps the process alive.
process.send?.(await loadConfigAndModules({ file, set, env: process.env }), () => process.exit());
