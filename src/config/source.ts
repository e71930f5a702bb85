import { existsSync } from "node:fs";
import type { Environment } from "./environment.ts";

/** Replaces `$NAME` and `${NAME}` in a path, as Chihaya does; a missing variable becomes "". */
export function expandPath(path: string, env: Environment): string {
  return path.replace(
    /\$(?:(\w+)|\{(\w+)\})/g,
    (_, plain: string, braced: string) => env[plain ?? braced] ?? "",
  );
}

/** Chihaya's default path. */
const defaultFile = "/etc/chihaya.yaml";

/** Chooses the file: the named one, else `CHIHAYA_CONFIG`, else `/etc/chihaya.yaml` if it exists, else none. */
export function findConfigFile(named: string | undefined, env: Environment): string | undefined {
  return named ?? (env.CHIHAYA_CONFIG || (existsSync(defaultFile) ? defaultFile : undefined));
}
