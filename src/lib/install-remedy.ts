import { existsSync } from "node:fs";
import { dirname } from "node:path";

/** The folder of this package. */
const own = dirname(dirname(import.meta.dirname));

/**
 * Says how to install an optional package, by the way in which this one was installed.
 * @param root  the folder of this package; tests bring their own
 */
export function installRemedy(name: string, root: string = own): string {
  const [, project] = /^(.*?)[/\\]node_modules[/\\](?:\.pnpm[/\\]|chihaya$)/.exec(root) ?? [];
  if (project !== undefined) {
    if (/[/\\]_npx[/\\]/.test(project))
      return `run it with "npx --package ${name} --package chihaya chihaya"`;
    if (/[/\\]lib$/.test(project)) return `install it with "npm install --global ${name}"`;
    return `install it with "npm install ${name}" in ${project}`;
  }
  if (existsSync(`${root}/package-lock.json`))
    return `install it with "npm ci --include=dev --include=optional" in ${root}`;
  return `it is missing in ${root}/node_modules; an image built with deploy/Dockerfile has it`;
}
