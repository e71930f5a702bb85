/** Everything that `npm ci` installs has a checksum in the lockfile, and no package needs an install script. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

interface LockedPackage {
  version?: string;
  integrity?: string;
  resolved?: string;
  link?: boolean;
  hasInstallScript?: boolean;
  dependencies?: Record<string, string>;
}

const read = (file: string) => JSON.parse(readFileSync(file, "utf8"));
const manifest = read("package.json");
const lock: Record<string, LockedPackage> = read("package-lock.json").packages;
const runtime = read("test/support/node/package.json");
const nameOf = (path: string): string => path.replace(/^.*node_modules\//, "");

test("packages come from the registry with a checksum, or are a folder of this repository", () => {
  const others = Object.entries(lock)
    .filter(([path]) => path.includes("node_modules/"))
    .filter(([, { link, resolved, integrity }]) =>
      link
        ? !existsSync(`${resolved}/package.json`)
        : resolved !== undefined || !integrity?.startsWith("sha512-"),
    );
  assert.deepEqual(others, []);
});

test("exact versions are asked for", () => {
  const { dependencies, devDependencies, optionalDependencies } = manifest;
  const asked = Object.entries<string>({
    ...dependencies,
    ...devDependencies,
    ...optionalDependencies,
    ...runtime.optionalDependencies,
  });
  assert.deepEqual(
    asked.filter(([, version]) => !/^((npm:[\w@/-]+@)?\d+\.\d+\.\d+|file:.*)$/.test(version)),
    [],
  );
});

test("npm is denied the install script of every package that has one", () => {
  const withScript = Object.entries(lock)
    .filter(([, { hasInstallScript }]) => hasInstallScript)
    .map(([path]) => nameOf(path));
  const denied = Object.fromEntries(withScript.map((name) => [name, false]));
  assert.deepEqual(manifest.allowScripts, denied);
});

test("npm run uses the Node.js of the lockfile", (t) => {
  const platform = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
  assert.equal(manifest.devDependencies.node, "file:test/support/node");
  for (const [name, version] of Object.entries(runtime.optionalDependencies)) {
    assert.equal(version, runtime.version);
    assert.equal(lock[`node_modules/${name}`]?.version, version);
  }
  if (!(platform in runtime.optionalDependencies)) return t.skip(`no binary is installed for ${platform}`);
  const { stdout } = spawnSync("node_modules/.bin/node", ["--version"], { encoding: "utf8" });
  assert.equal(stdout, `v${runtime.version}\n`);
});

test("the image has the optional packages of the lockfile, with all that they depend on", () => {
  const dockerfile = readFileSync("deploy/Dockerfile", "utf8");
  for (const name of Object.keys(manifest.peerDependencies)) {
    assert.ok(dockerfile.includes(`node_modules/${name} `), name);
    assert.deepEqual(lock[`node_modules/${name}`]?.dependencies ?? {}, {}, `${name} needs more packages`);
  }
});
