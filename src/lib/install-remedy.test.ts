import assert from "node:assert/strict";
import { test } from "node:test";
import { installRemedy } from "./install-remedy.ts";

for (const [root, remedy] of [
  ["/srv/tracker/node_modules/chihaya", 'install it with "npm install mmdb-lib" in /srv/tracker'],
  ["/usr/local/lib/node_modules/chihaya", 'install it with "npm install --global mmdb-lib"'],
  [
    "/home/a/.npm/_npx/1f/node_modules/chihaya",
    'run it with "npx --package mmdb-lib --package chihaya chihaya"',
  ],
  [
    "/srv/t/node_modules/.pnpm/chihaya@1.0.0/node_modules/chihaya",
    'install it with "npm install mmdb-lib" in /srv/t',
  ],
  [
    "/opt/chihaya",
    "it is missing in /opt/chihaya/node_modules; an image built with deploy/Dockerfile has it",
  ],
] as const) {
  test(`how a package is installed beside ${root}`, () => {
    assert.equal(installRemedy("mmdb-lib", root), remedy);
  });
}

test("a clone installs all that its lockfile names", () => {
  assert.match(installRemedy("mmdb-lib"), /^install it with "npm ci --include=dev --include=optional" in \//);
});
