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
  test(`the remedy for an installation in ${root}`, () => {
    assert.equal(installRemedy("mmdb-lib", root), remedy);
  });
}

test("the remedy for a clone installs everything in the lockfile", () => {
  assert.match(installRemedy("mmdb-lib"), /^install it with "npm ci --include=dev --include=optional" in \//);
});
