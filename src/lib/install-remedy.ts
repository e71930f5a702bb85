import { existsSync } from "node:fs";
import { dirname } from "node:path";

/** The folder of this package. */
const own = dirname(dirname(import.meta.dirname));

/**
 * Returns the command that installs an optional package, chosen by how this package was installed.
 * @param root  the folder of this package; tests pass others
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
