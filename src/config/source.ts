import { existsSync } from "node:fs";
import type { Environment } from "./environment.ts";

/** Replaces `$NAME` and `${NAME}` in a path, as Chihaya does; a missing variable is nothing. */
export function expandPath(path: string, env: Environment): string {
  return path.replace(
    /\$(?:(\w+)|\{(\w+)\})/g,
    (_, plain: string, braced: string) => env[plain ?? braced] ?? "",
  );
}

/** Where Chihaya looks as well. */
const usualFile = "/etc/chihaya.yaml";

/** The file that counts: the named one, else `CHIHAYA_CONFIG`, else `/etc/chihaya.yaml` if there is one, else none. */
export function findConfigFile(named: string | undefined, env: Environment): string | undefined {
  return named ?? (env.CHIHAYA_CONFIG || (existsSync(usualFile) ? usualFile : undefined));
}
