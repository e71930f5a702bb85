import type { LocalityOptions } from "../hooks/locality/create-locality.ts";
import { readMmdb } from "../hooks/locality/read-mmdb.ts";
import { Pace } from "../lib/pace.ts";
import { openNetwork } from "../net/open-network.ts";
import { findPublic } from "./checks.ts";
import type { Config } from "./config.ts";
import { countWorkers } from "./count-workers.ts";
import { limitConnections, readDescriptorLimit } from "./descriptor-limit.ts";
import type { Diagnostics, Path } from "./diagnostics.ts";
import { locate, type TreeMapping } from "./tree.ts";

/**
 * Checks the system that the config would start on. Warns of metrics on a public address, and of a limit of open files that is
 * too low for the connections. Reports what would stop a start although all files and packages exist: a system without the
 * Linux network, or an unreadable database of `locality`.
 */
export async function checkStart(config: Config, root: TreeMapping, diagnostics: Diagnostics): Promise<void> {
  const warn = (path: Path, message: string) => diagnostics.warning(locate(root, path), path, message);
  const { lowered } = limitConnections(config, countWorkers(config), readDescriptorLimit());
  for (const { block, warning } of lowered) warn([block, "max_connections"], warning);
  const open = findPublic(config.metricsListen);
  if (open !== undefined) {
    const remedy = "set metrics_addr to 127.0.0.1 or a private address, or close the port in the firewall";
    warn(
      ["metrics_addr"],
      `every client that reaches ${open.host} can read the metrics, because they need no token; ${remedy}`,
    );
  }
  const report = (path: Path, message: string) => diagnostics.error(locate(root, path), path, message);
  if (config.network === "linux") {
    try {
      (await openNetwork("linux", () => undefined)).close();
    } catch (error) {
      report(["network"], (error as Error).message);
    }
  }
  for (const [list, hooks] of Object.entries({ prehooks: config.preHooks, posthooks: config.postHooks })) {
    for (const [index, hook] of hooks.entries()) {
      if (hook.name !== "locality" || hook.module !== undefined) continue;
      for (const [level, options] of (hook.options as LocalityOptions).levels.entries()) {
        for (const by of ["asn", "country"] as const) {
          const file = options[by];
          if (file === undefined) continue;
          try {
            await readMmdb(file, by, new Pace(), 1);
          } catch (error) {
            report([list, index, "options", "levels", level, by], (error as Error).message);
          }
        }
      }
    }
  }
}
