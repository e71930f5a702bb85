// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of the configuration look like that
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { formatDiagnostics } from "./diagnostics.ts";
import { loadConfig } from "./load.ts";
import { leaves, outline } from "./outline.ts";
import { renderEffective } from "./render.ts";

const directory = mkdtempSync(join(tmpdir(), "chihaya-random-"));
after(() => rmSync(directory, { recursive: true }));
const file = join(directory, "chihaya.yaml");

/** Loads without throwing; what is refused has a reason, what is accepted can be printed and loaded again. */
function check(content: string | Uint8Array): void {
  writeFileSync(file, content);
  const result = loadConfig({ file, env: { HOME: "/root" } });
  if (!result.ok) {
    assert.ok(result.errors.length > 0 && result.errors.length <= 100);
    assert.doesNotMatch(formatDiagnostics(result.errors), /undefined|\[object/);
    return;
  }
  writeFileSync(file, renderEffective(result.document));
  const again = loadConfig({
    file,
    env: {},
    set: [`udp.private_key=${result.config.udp?.privateKey ?? ""}`],
  });
  assert.deepEqual(again.ok ? [] : again.errors, []);
}

const pieces = [
  ..."-:?[]{},&*#|>@`\"'%!~ \n\t=".split(""),
  ...[
    "chihaya:",
    "\n  ",
    "\n    ",
    ": ",
    "- ",
    "<<: *a",
    "&a ",
    "*a",
    "${HOME}",
    "${X:-",
    "__proto__: 1",
    "null",
  ],
  ...["\r\n", "\ufeff", "\u0000", "\u2028", "---\n", "...", "!!binary ", "|\n  x", ">-\n", "\ud800"],
  ...[...outline.fields.keys()].map((key) => `${key}: `),
  ...leaves.map(({ path }) => `${path.at(-1)}: `),
];

const keys = fc.constantFrom(
  ...leaves.flatMap(({ path }) => path),
  ...[
    "prehooks",
    "options",
    "name",
    "config",
    "whitelist",
    "prometheus_addr",
    "shards",
    "constructor",
    "__proto__",
  ],
);
const values = fc.oneof(
  fc.string(),
  fc.constantFrom(
    "",
    "0",
    "30m",
    "true",
    ":6969",
    "[::]:1",
    "memory",
    "client approval",
    "/announce",
    "10.0.0.0/8",
  ),
  fc.integer(),
  fc.double(),
  fc.constant(null),
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: "small" },
    values,
    fc.array(tie("tree"), { maxLength: 3 }),
    fc.dictionary(keys, tie("tree"), { maxKeys: 5 }),
  ),
}));

test("no text makes loading throw", () => {
  const text = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 4 })), { maxLength: 40 });
  fc.assert(
    fc.property(text, (parts) => check(`chihaya:${parts.join("")}`)),
    { seed: 1, numRuns: 400 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), check), { seed: 2, numRuns: 200 });
});

test("no tree of known keys makes loading throw", () => {
  fc.assert(
    fc.property(fc.dictionary(keys, tree, { maxKeys: 6 }), (chihaya) => check(stringify({ chihaya }))),
    { seed: 3, numRuns: 400 },
  );
});

test("random values for known settings are refused or loaded", () => {
  const overrides = fc.array(
    fc.tuple(fc.constantFrom(...leaves), fc.oneof(fc.string(), values.map(String))),
    { maxLength: 5 },
  );
  fc.assert(
    fc.property(overrides, (list) => {
      const set = list.map(([{ path }, value]) => `${path.join(".")}=${value}`);
      const result = loadConfig({ env: {}, set });
      assert.ok(result.ok || result.errors.length > 0);
    }),
    { seed: 4, numRuns: 400 },
  );
});
