import { fork } from "node:child_process";
import { once } from "node:events";
import { extname } from "node:path";
import type { LoadOptions, LoadResult } from "./load.ts";
import { expandPath } from "./source.ts";

/**
 * Loads a configuration as `loadConfigAndModules` does, in a process of its own that ends with it: what the libraries for YAML
 * and schemas take, 12 MB and more, is given back, and whoever is served meanwhile does not wait. Where that
 * process cannot run, or only this one can read the file (`/dev/stdin`, `/dev/fd/63`), this one does it.
 */
export async function loadConfigApart(options: LoadOptions): Promise<LoadResult> {
  const file = options.file === undefined ? "" : expandPath(options.file, options.env);
  const result = /^\/(dev|proc)\//.test(file) ? undefined : await askProcess(options).catch(() => undefined);
  if (result !== undefined) return result;
  const { loadConfigAndModules } = await import("./load.ts");
  return loadConfigAndModules(options);
}

/** Rejects, or resolves with undefined, where no answer comes. */
async function askProcess({ file, set, env }: LoadOptions): Promise<LoadResult | undefined> {
  // Beside this file, under whichever extension it runs.
  const url = new URL(`./load-process${extname(import.meta.url)}`, import.meta.url);
  const child = fork(url, [JSON.stringify({ file, set })], {
    env,
    execArgv: process.execArgv.filter((argument) => !argument.startsWith("--inspect")),
    serialization: "advanced", // JSON has no undefined
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const answered = once(child, "message").then(([result]) => result as LoadResult);
  return Promise.race([answered, once(child, "exit").then(() => undefined)]);
}
