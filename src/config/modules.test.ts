import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { temporaryDirectory } from "../../test/support/daemon.ts";
import { ClientError } from "../bittorrent/client-error.ts";
import type { HookDefinition, HookDeps } from "../middleware/define-hook.ts";
import { formatDiagnostics } from "./diagnostics.ts";
import { loadConfigAndModules } from "./load.ts";

const hook = `
const validate = (value) => {
  const issues = [];
  if (typeof value.rate !== "number") issues.push({ message: "expected a number", path: ["rate"] });
  for (const [index, name] of (value.names ?? []).entries()) {
    if (typeof name !== "string") issues.push({ message: "expected text", path: ["names", { key: index }] });
  }
  return issues.length > 0 ? { issues } : { value };
};
export default {
  name: "mine",
  options: { "~standard": { version: 1, vendor: "test", validate } },
  create: () => ({}),
};
`;

/** Loads a configuration with those hooks, beside a few modules. */
async function load(t: TestContext, hooks: string) {
  const directory = temporaryDirectory(t);
  const files = {
    "mine.js": hook,
    "own.js": `import { ClientError, defineHook } from "chihaya";
      const refused = new ClientError("no");
      export default defineHook({ name: "own", create: () => ({ handleAnnounce: () => refused }) });`,
    "plain.js": 'export default { name: "plain", create: () => ({}) };',
    "empty.js": "export const nothing = 1;",
    "broken.js": "export default {",
    "node_modules/packed/index.js": 'export default { name: "packed", create: () => ({}) };',
    "node_modules/packed/package.json": '{ "name": "packed", "type": "module", "exports": "./index.js" }',
    "package.json": '{ "type": "module" }',
    "chihaya.yaml": `chihaya:\n  http: {}\n  prehooks:\n${hooks}`,
  };
  mkdirSync(join(directory, "node_modules/packed"), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const result = await loadConfigAndModules({ file: join(directory, "chihaya.yaml"), env: {} });
  const errors = result.ok ? "" : formatDiagnostics(result.errors);
  const href = (file: string) => pathToFileURL(join(directory, file)).href;
  return { result, errors: errors.replaceAll(`${directory}/`, "").replaceAll(href(""), "file:"), href };
}

describe("hooks from modules", () => {
  test("a path is seen from the configuration, a name is a package that is installed beside it", async (t) => {
    const { result, href } = await load(
      t,
      "    - module: ./mine.js\n      options: { rate: 3, names: [a, '3'] }\n      timeout: 250ms\n    - module: packed\n",
    );
    assert.ok(result.ok);
    assert.deepEqual(result.config.preHooks, [
      {
        name: "module",
        module: href("mine.js"),
        options: { rate: 3, names: ["a", "3"] },
        timeout: 0.25,
        maxInFlight: 1000,
      },
      {
        name: "module",
        module: href("node_modules/packed/index.js"),
        options: undefined,
        timeout: 5,
        maxInFlight: 1000,
      },
    ]);
  });

  test("what a schema finds is said with its place", async (t) => {
    const { errors } = await load(
      t,
      "    - module: ./mine.js\n      options:\n        rate: 'fast'\n        names: [a, 3]\n",
    );
    assert.match(errors, /chihaya\.yaml:6:15: prehooks\[0\]\.options\.rate: expected a number/);
    assert.match(errors, /chihaya\.yaml:7:20: prehooks\[0\]\.options\.names\[1\]: expected text/);
  });

  test("options for a hook that takes none are refused", async (t) => {
    const { errors } = await load(t, "    - module: ./plain.js\n      options: { a: 1 }\n");
    assert.match(errors, /chihaya\.yaml:5:16: prehooks\[0\]\.options: the hook "plain" takes no options/);
  });

  for (const [module, message] of [
    [
      "./missing.js",
      /prehooks\[0\]\.module: cannot load file:\/\/missing\.js: Cannot find module 'missing\.js'\n/,
    ],
    ["./empty.js", /prehooks\[0\]\.module: file:\/\/empty\.js has no default export made by defineHook/],
    ["./broken.js", /prehooks\[0\]\.module: cannot load file:\/\/broken\.js: Unexpected end of input/],
    ["not-installed", /prehooks\[0\]\.module: cannot load not-installed: Cannot find package/],
  ] as const) {
    test(`${module} is refused`, async (t) => {
      const { errors } = await load(t, `    - module: ${module}\n`);
      assert.match(errors, /^chihaya\.yaml:4:15: /);
      assert.match(errors, message);
    });
  }

  test("a hook imports the tracker that runs it, wherever it lies", async (t) => {
    const { result, href } = await load(t, "    - module: ./own.js\n");
    assert.ok(result.ok);
    const { default: definition } = (await import(href("own.js"))) as { default: HookDefinition };
    const { handleAnnounce } = await definition.create(undefined, {} as HookDeps);
    assert.ok((handleAnnounce as () => unknown)() instanceof ClientError);
  });

  test("a key that no hook of one's own has", async (t) => {
    const { errors } = await load(t, "    - module: ./plain.js\n      timout: 1s\n");
    assert.match(errors, /prehooks\[0\]\.timout: unknown key; did you mean "timeout"\?/);
  });
});
