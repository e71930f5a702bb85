import { nearest } from "../lib/nearest.ts";
import { quote } from "../lib/quote.ts";
import type { Diagnostics, Origin, Path } from "./diagnostics.ts";
import { leaves } from "./outline.ts";
import { emptyMapping, type Tree, type TreeMapping } from "./tree.ts";

/** Variables of the environment, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

const prefix = "CHIHAYA_";

/** The variable that sets the value at `path`: `CHIHAYA_HTTP__ADDR`. */
export function variableName(path: readonly string[]): string {
  return prefix + path.join("__").toUpperCase();
}

/**
 * Replaces `${NAME}` and `${NAME:-default}` in the values of a tree, in place; `$${` stands for `${`.
 * The default replaces a variable that is missing or empty. Replacements are not searched for further variables.
 * @returns paths of the values that could not be replaced
 */
export function interpolate(tree: Tree, env: Environment, diagnostics: Diagnostics, path: Path = []): Path[] {
  if (tree.kind === "list") {
    return tree.items.flatMap((item, index) => interpolate(item, env, diagnostics, [...path, index]));
  }
  if (tree.kind === "mapping") {
    return [...tree.entries].flatMap(([key, { value }]) =>
      interpolate(value, env, diagnostics, [...path, key]),
    );
  }
  const failures: Path[] = [];
  const fail = (found: string, message: string) => {
    diagnostics.error(tree.at, path, message);
    failures.push(path);
    return found;
  };
  tree.text = tree.text?.replace(
    /\$(\$\{)|\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}|\$\{/g,
    (found, escaped: string | undefined, name: string | undefined, fallback: string | undefined) => {
      if (escaped !== undefined) return escaped;
      if (name === undefined)
        return fail(found, `expected \${NAME} or \${NAME:-default}; for "\${" itself write "$\${"`);
      const value = env[name];
      if (value !== undefined && (value !== "" || fallback === undefined)) return value;
      if (fallback !== undefined) return fallback;
      return fail(found, `the variable ${name} is not set; set it, or give a default: \${${name}:-default}`);
    },
  );
  return failures;
}

/** Sets values from variables such as `CHIHAYA_HTTP__ADDR`, in place. */
export function applyEnvironment(root: TreeMapping, env: Environment, diagnostics: Diagnostics): void {
  const known = new Map(leaves.map(({ path }) => [variableName(path), path]));
  for (const name of Object.keys(env).sort()) {
    const value = env[name];
    if (!name.startsWith(prefix) || value === undefined) continue;
    const at: Origin = { source: `environment variable ${name}`, offset: -1 };
    const path = known.get(name);
    if (path !== undefined) {
      override(root, path, value, at);
      continue;
    }
    const near = nearest(name, known.keys());
    // A variable without "__" may have another purpose: Kubernetes sets CHIHAYA_PORT for a service named "chihaya".
    if (name.includes("__", prefix.length)) {
      diagnostics.error(
        at,
        [],
        `no such setting; ${near ? `did you mean ${near}?` : `an example is ${variableName(["http", "addr"])}`}`,
      );
    } else {
      const flat = name.replaceAll("__", "_");
      const meant = [...known.keys()].find((other) => other.replaceAll("__", "_") === flat) ?? near;
      if (meant !== undefined) diagnostics.warning(at, [], `has no effect; did you mean ${meant}?`);
    }
  }
}

/** Sets values from flags such as `http.addr=127.0.0.1:6969`, in place; the last one of a path wins. */
export function applySets(root: TreeMapping, sets: readonly string[], diagnostics: Diagnostics): void {
  const known = new Map(leaves.map(({ path }) => [path.join("."), path]));
  for (const set of sets) {
    const equals = set.indexOf("=");
    const name = equals < 0 ? set : set.slice(0, equals);
    const at: Origin = { source: `--set ${name}`, offset: -1 };
    const path = known.get(name);
    if (equals < 0) diagnostics.error(at, [], "expected PATH=VALUE, as http.addr=127.0.0.1:6969");
    else if (path !== undefined) override(root, path, set.slice(equals + 1), at);
    else {
      const near = nearest(name, known.keys());
      const remedy = near ? `did you mean ${quote(near)}?` : "an example is http.addr=127.0.0.1:6969";
      diagnostics.error(at, [], `no such setting; ${remedy}`);
    }
  }
}

function override(root: TreeMapping, path: readonly string[], text: string, at: Origin): void {
  let block = root;
  for (const key of path.slice(0, -1)) {
    let below = block.entries.get(key)?.value;
    if (below === undefined || (below.kind === "scalar" && below.text === undefined)) {
      below = emptyMapping(at);
      block.entries.set(key, { keyAt: at, value: below });
    }
    if (below.kind !== "mapping") return; // the schema refuses it
    block = below;
  }
  const key = path.at(-1)!;
  block.entries.set(key, { keyAt: at, value: { kind: "scalar", text, at } });
  // `private_key` and `private_key_file` are one setting.
  block.entries.delete(key.endsWith("_file") ? key.slice(0, -"_file".length) : `${key}_file`);
}
