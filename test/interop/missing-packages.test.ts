/** An optional package that is missing is a mistake in the configuration: check-config and the start say the same. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { main, Program, temporaryDirectory, toYaml } from "../support/daemon.ts";
import { writeMmdb } from "../support/write-mmdb.ts";

/** Has a package not be found, as where it is not installed. */
const hide = (name: string) => `
  import { registerHooks } from "node:module";
  registerHooks({ resolve(specifier, context, next) {
    if (specifier === "${name}") throw new Error("not installed");
    return next(specifier, context);
  } });
`;

for (const [name, path, settings] of [
  ["@redis/client", "storage", () => ({ storage: { name: "redis", config: {} } })],
  ["koffi", "network", () => ({ network: "linux" })],
  [
    "mmdb-lib",
    "prehooks[0]",
    (database: string) => ({ prehooks: [{ name: "locality", options: { levels: [{ asn: database }] } }] }),
  ],
] as const) {
  test(`without ${name}`, async (t) => {
    const directory = temporaryDirectory(t);
    const [hidden, database, file] = ["hide.mjs", "asn.mmdb", "chihaya.yaml"].map((each) =>
      join(directory, each),
    ) as [string, string, string];
    writeFileSync(hidden, hide(name));
    writeFileSync(database, writeMmdb({ "10.1.0.0/16": { autonomous_system_number: 1 } }));
    writeFileSync(file, toYaml(settings(database)));
    for (const command of [["check-config"], ["serve"]]) {
      const env = { NODE_OPTIONS: `--import=${hidden}` };
      const program = new Program(t, process.execPath, [main, ...command, "--config", file], env);
      assert.deepEqual(await program.ended, { code: 78, signal: null });
      const said = program.stdout + program.stderr;
      assert.ok(said.includes(`${path}: `), said);
      assert.ok(said.includes(`"${name}"`) && said.includes("npm ci --include=dev"), said);
    }
  });
}
