import { maskUrl } from "../lib/mask-url.ts";
import type { Facts } from "../options/index.ts";
import {
  defaultBlocks,
  type Field,
  fieldsOf,
  isOptional,
  optionalBlocks,
  outline,
  valueAt,
} from "./outline.ts";
import type { Plain } from "./tree.ts";
import { UseList, UseValue } from "./uses.ts";

const width = 96;

/** Breaks text into lines of at most `columns`. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return line === "" ? lines : [...lines, line];
}

function comment(text: string, indent: string): string {
  return wrap(text, width - indent.length)
    .map((line) => `${indent}# ${line}\n`)
    .join("");
}

/** Writes a value on one line of YAML: text in double quotes, numbers and booleans bare. */
export function inline(value: Plain | undefined, type?: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => inline(item)).join(", ")}]`;
  const isBare =
    (type === "integer" || type === "boolean" || type === "number") && /^[\w.+-]+$/.test(`${value}`);
  return isBare ? `${value}` : JSON.stringify(value ?? "");
}

/** Writes values that the schema does not lay out, such as hooks, as blocks with one key a line. */
export function block(value: unknown, indent: string): string {
  if (Array.isArray(value) && value.every((item) => typeof item === "object")) {
    return value.map((item) => `${indent}- ${block(item, `${indent}  `).trimStart()}`).join("");
  }
  return Object.entries(value as Record<string, unknown>)
    .map(([key, item]) => {
      const isNested = typeof item === "object" && item !== null && !Array.isArray(item);
      if (isNested && Object.keys(item).length > 0) return `${indent}${key}:\n${block(item, `${indent}  `)}`;
      const isBlocks = Array.isArray(item) && item.length > 0 && item.every((one) => typeof one === "object");
      if (isBlocks) return `${indent}${key}:\n${block(item, `${indent}  `)}`;
      const text = isNested
        ? "{}"
        : typeof item === "string" || Array.isArray(item)
          ? inline(item as Plain)
          : `${item}`;
      return `${indent}${key}: ${text}\n`;
    })
    .join("");
}

/** Renders a file with all defaults and a comment on each key. */
export function renderExample(): string {
  return `# Every setting of Chihaya, with its default: a tracker with this file runs as a tracker without a file does.
# docs/configuration.md explains the settings. "chihaya check-config FILE" checks a file.
# yaml-language-server: $schema=./config.schema.json
chihaya:
${[...outline.fields].map((field) => renderExampleField(field, "  ")).join("\n")}`;
}

function renderExampleField([key, value]: Field, indent: string): string {
  if (value.isObsolete) return "";
  const head = comment(value.description, indent);
  if (value instanceof UseList) {
    const examples = key === "prehooks" ? value.item.definitions : [];
    const lines = examples.map(
      ({ name, description = "", example = {} }) =>
        comment(description, `${indent}  `) +
        block([{ name, options: example }], `${indent}  `).replace(/^ {4}/gm, `${indent}  # `),
    );
    return `${head}${indent}${key}:${lines.length > 0 ? "" : " []"}\n${lines.join("")}`;
  }
  const fields = fieldsOf(value, undefined);
  if (fields === undefined)
    return `${head}${indent}${key}: ${inline(value.byDefault as Plain, value.facts.json.type)}\n`;
  const below = fields.map((inner) => {
    const text = renderExampleField(inner, `${indent}  `);
    return isOptional(inner[1]) && indent !== "" ? commentedOut(text, `${indent}  `) : text;
  });
  const others = value instanceof UseValue ? [...value.variants].slice(1) : [];
  const variants = others.map(([name, variant]) => renderVariant(key, name, [...variant.fields], indent));
  const text = `${indent}${key}:\n${below.join("")}${variants.join("")}`;
  const needsValues = optionalBlocks.includes(key) && !defaultBlocks.includes(key);
  return head + (needsValues ? commentedOut(text, indent) : text);
}

function commentedOut(text: string, indent: string): string {
  return text.replace(new RegExp(`^${indent}(?=.)`, "gm"), `${indent}# `);
}

/** Renders another variant of a block, commented out. */
function renderVariant(key: string, name: string, fields: readonly Field[], indent: string): string {
  const below = fields
    .filter(([inner]) => inner !== "name")
    .map((field) => renderExampleField(field, `${indent}  `));
  const text = `${indent}${key}:\n${indent}  name: ${inline(name)}\n${below.join("")}`;
  return `\n${commentedOut(text, indent)}`;
}

/**
 * Renders the effective configuration as a file: `document` completed with the defaults. Secrets are masked.
 */
export function renderEffective(document: Plain): string {
  const given = document as { [key: string]: Plain };
  const fields = [...outline.fields].filter(
    ([key]) => !optionalBlocks.includes(key) || given[key] !== undefined,
  );
  return `chihaya:\n${fields.map((field) => renderField(field, given, [field[0]])).join("")}`;
}

function renderField([key, field]: Field, document: Plain, path: readonly string[]): string {
  if (field.isObsolete) return "";
  const indent = "  ".repeat(path.length);
  const value = valueAt(document, path, field);
  if (field instanceof UseList) {
    const isEmpty = !Array.isArray(value) || value.length === 0;
    return isEmpty ? `${indent}${key}: []\n` : `${indent}${key}:\n${block(maskAll(value), `${indent}  `)}`;
  }
  const fields = fieldsOf(field, value);
  if (fields === undefined)
    return `${indent}${key}: ${inline(masked(value, field.facts), field.facts.json.type)}\n`;
  return `${indent}${key}:\n${fields
    .filter(
      ([inner, one]) =>
        !isOptional(one) || (value as { [key: string]: Plain } | undefined)?.[inner] !== undefined,
    )
    .map((inner) => renderField(inner, document, [...path, inner[0]]))
    .join("")}`;
}

function masked(value: Plain | undefined, { secret, mask = () => "********" }: Facts): Plain | undefined {
  if (value === "" || value === undefined) return value;
  if (!secret) return maskAll(value);
  return Array.isArray(value) ? value.map((item) => mask(`${item}`)) : mask(`${value}`);
}

/** Names of secrets among the options of third-party hooks, whose schemas do not mark secrets. */
const secretName = /secret|passw|token$|credential|(api|private|access)_?key$/i;

/** Masks likely secrets in values that the schema does not mark: parts of URLs, and values under keys with a {@link secretName}. */
function maskAll(value: Plain): Plain {
  if (typeof value === "string") return maskUrl(value);
  if (Array.isArray(value)) return value.map(maskAll);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      typeof item === "string" && item !== "" && secretName.test(key) ? "********" : maskAll(item),
    ]),
  );
}
