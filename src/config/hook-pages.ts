import { readdirSync, readFileSync } from "node:fs";
import * as builtInHooks from "../hooks/index.ts";
import type { HookDefinition } from "../middleware/define-hook.ts";
import type { AnyBlock } from "../options/index.ts";
import { table } from "./reference.ts";

const root = new URL("../../", import.meta.url);
const hooks: readonly HookDefinition[] = Object.values(builtInHooks);

/** The sections of the README of a hook. */
const sections = ["What it does", "Options", "Metrics", "Errors", "Examples"] as const;
type Section = (typeof sections)[number];

/**
 * Renders the README of each built-in hook, and `docs/hooks.md`, which contains all of them; keyed by path. The sections
 * "Options" and "Errors" are generated from the definition, the others are written by hand.
 * @throws Error for a hook without a README, and for a README with other sections
 */
export function renderHookPages(): Record<string, string> {
  const pages: Record<string, string> = {};
  let generated = "";
  for (const folder of readdirSync(new URL("src/hooks/", root)).sort()) {
    const hook = hooks.find(({ name }) => name.replaceAll(" ", "-") === folder);
    if (hook === undefined) continue;
    const path = `src/hooks/${folder}/README.md`;
    const text: Record<Section, string> = {
      ...split(path),
      Options: table(hook.options as AnyBlock),
      Errors: renderErrors(hook, "../../../docs/"),
    };
    pages[path] = `# \`${hook.name}\`\n${sections.map((name) => `\n## ${name}\n\n${text[name]}\n`).join("")}`;
    const [about, ...others] = sections;
    const below = others.map((name) => `**${name}**\n\n${text[name]}\n`).join("\n");
    generated += `### \`${hook.name}\`\n\n${text[about]}\n\n${below.replaceAll("**Examples**\n\n", "")}\n`;
  }
  const [path, begin, end] = ["docs/hooks.md", "<!-- Generated from", "<!-- End of the generated part. -->"];
  const page = readFileSync(new URL(path, root), "utf8");
  const from = page.indexOf("\n", page.indexOf(begin)) + 1;
  const inDocs = generated.replaceAll("](../../../docs/", "](");
  pages[path] = `${page.slice(0, from)}\n${inDocs}${page.slice(page.indexOf(end))}`;
  return pages;
}

function split(path: string): Record<Section, string> {
  const parts = readFileSync(new URL(path, root), "utf8")
    .split(/^## (.*)\n/m)
    .slice(1);
  const names = parts.filter((_, index) => index % 2 === 0);
  if (names.join() !== sections.join()) throw new Error(`${path} needs the sections ${sections.join(", ")}`);
  const entries = names.map((name, index) => [name, parts[2 * index + 1]!.trim()]);
  return Object.fromEntries(entries) as Record<Section, string>;
}

/** @param docs  path of the folder `docs`, relative to the page */
function renderErrors({ errors = [] }: HookDefinition, docs: string): string {
  if (errors.length === 0) return "None of its own.";
  const rows = errors.map(
    ({ code, message, retryIn }) =>
      `| [\`${code}\`](${docs}errors.md#${code}) | \`${message}\` | ${retryIn ?? "after the usual interval"} |`,
  );
  return `| code | text for the client | retry in (minutes) |\n|---|---|---|\n${rows.join("\n")}`;
}
