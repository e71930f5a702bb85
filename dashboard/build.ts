/**
 * Builds the dashboard into `dashboard/built`, which is committed, so that neither a clone nor the package needs a build:
 * `node dashboard/build.ts`. With `--check` compares instead of writing. Exit code 1 if the committed files are old.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build, type Rolldown } from "vite";

const root = import.meta.dirname;
const built = join(root, "built");

/** Returns the files of the page by name. The same sources give the same bytes. */
async function render(): Promise<Map<string, Buffer>> {
  const result = await build({
    root,
    configFile: false,
    envDir: false,
    publicDir: false,
    logLevel: "warn",
    mode: "production",
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
    build: {
      write: false,
      target: "es2022",
      assetsInlineLimit: 0,
      modulePreload: false,
      reportCompressedSize: false,
    },
  });
  const files = new Map<string, Buffer>();
  for (const file of (result as Rolldown.RolldownOutput).output) {
    const content = file.type === "chunk" ? file.code : file.source;
    // Scripts and styles are of the same origin, so no request needs CORS.
    const text = file.fileName === "index.html" ? `${content}`.replaceAll(" crossorigin", "") : content;
    files.set(file.fileName, Buffer.from(text));
  }
  const licenses = ["preact", "uplot"].map(
    (name) => `${name}\n\n${readFileSync(join(root, "../node_modules", name, "LICENSE"), "utf8").trim()}\n`,
  );
  files.set("licenses.txt", Buffer.from(licenses.join(`\n${"-".repeat(72)}\n\n`)));
  return files;
}

function committed(): string[] {
  if (!existsSync(built)) return [];
  return readdirSync(built, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(built.length + 1));
}

const files = await render();
if (process.argv.includes("--check")) {
  const names = new Set([...files.keys(), ...committed()]);
  for (const name of names) {
    const path = join(built, name);
    const expected = files.get(name);
    if (expected !== undefined && existsSync(path) && expected.equals(readFileSync(path))) continue;
    process.exitCode = 1;
    console.error(`dashboard/built/${name} is not what "npm run gen" writes`);
  }
} else {
  rmSync(built, { recursive: true, force: true });
  for (const [name, content] of files) {
    const path = join(built, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}
