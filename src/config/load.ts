import { createHash } from "node:crypto";
import { isAbsolute } from "node:path";
import { cannotRead } from "../lib/file-errors.ts";
import { readText } from "../lib/read-text.ts";
import { type AnyBlock, Reader } from "../options/index.ts";
import { checkStart } from "./check-start.ts";
import { checkTogether } from "./checks.ts";
import type { Config } from "./config.ts";
import { type Diagnostic, Diagnostics, formatPath, type Origin, type Path } from "./diagnostics.ts";
import { applyEnvironment, applySets, type Environment, interpolate } from "./environment.ts";
import { explainIssue } from "./explain.ts";
import { migrate } from "./legacy-keys.ts";
import { checkModules, locateModules } from "./modules.ts";
import { defaultBlocks, leaves, optionalPaths, secretKeys } from "./outline.ts";
import { parseTree } from "./parse-tree.ts";
import { renderEffective } from "./render.ts";
import { restartMarks } from "./restart-marks.ts";
import { schema } from "./schema.ts";
import type { RestartMark } from "./settle.ts";
import { expandPath } from "./source.ts";
import { emptyMapping, find, locate, type Plain, type Tree, type TreeMapping, toPlain } from "./tree.ts";

export interface LoadOptions {
  /** Path of the file; `$NAME` in it is replaced. Without a file, all values are defaults and both frontends run. */
  file?: string | undefined;
  env: Environment;
  /** Flags such as `http.addr=127.0.0.1:6969`. */
  set?: readonly string[] | undefined;
  /** Time for the check of certificates, in milliseconds since 1970; default: now. */
  now?: number;
}

/** A valid configuration, or all errors in it. */
export type LoadResult =
  | {
      ok: true;
      config: Config;
      document: Plain;
      /** Identifies the settings; secrets, and the contents of other files, do not change it. */
      hash: string;
      warnings: Diagnostic[];
      restartMarks: RestartMark[];
    }
  | { ok: false; errors: Diagnostic[]; warnings: Diagnostic[] };

/** The state of loading a configuration. Without `config`, loading failed. */
interface Loading {
  diagnostics: Diagnostics;
  root?: TreeMapping;
  document?: Plain;
  config?: Config | undefined;
  /** Descriptions of the options of modules, by the block that names the module. */
  modules?: ReadonlyMap<unknown, AnyBlock>;
}

/**
 * Loads a configuration: flags override the environment, which overrides the file, which overrides the defaults. Reads the
 * file and the files that it names (TLS, secrets, keys), but does not import modules. Never throws for a mistake in a file.
 *
 * `document` of the result is the mapping under `chihaya` with environment and flags applied, without the defaults.
 */
export function loadConfig(options: LoadOptions): LoadResult {
  return finish(load(options));
}

/**
 * Loads what can be read of a configuration, for commands that look for a running tracker. Wrong values are replaced by
 * their defaults.
 * @returns no `config` if the file cannot be read or parsed
 */
export function loadUnchecked(options: LoadOptions): { config?: Config | undefined; errors: Diagnostic[] } {
  const { config, diagnostics } = load(options);
  return { config, errors: diagnostics.list("error") };
}

/** Loads a configuration as {@link loadConfig} does, imports its modules to check their options, and checks the other needs of a start. */
export async function loadConfigAndModules(options: LoadOptions): Promise<LoadResult> {
  const loading = load(options);
  const { config, root, diagnostics } = loading;
  if (config && root) {
    loading.modules = await checkModules(config, root, diagnostics);
    if (!diagnostics.hasErrors) await checkStart(config, root, diagnostics);
  }
  return finish(loading);
}

function finish({ diagnostics, document, config, modules }: Loading): LoadResult {
  const warnings = diagnostics.list("warning");
  if (config === undefined || document === undefined || diagnostics.hasErrors) {
    return { ok: false, errors: diagnostics.list("error"), warnings };
  }
  const hash = createHash("sha256").update(renderEffective(document)).digest("hex").slice(0, 16);
  return { ok: true, config, document, hash, warnings, restartMarks: restartMarks(config, modules) };
}

function load({ file, env, set = [], now = Date.now() }: LoadOptions): Loading {
  const source = file === undefined ? "built-in defaults" : expandPath(file, env);
  const read = file === undefined ? { text: "" } : readFile(source);
  const diagnostics = new Diagnostics(source, "text" in read ? read.text : "", secretKeys);
  if ("problem" in read) {
    diagnostics.error({ source, offset: -1 }, [], read.problem);
    return { diagnostics };
  }

  const root = file === undefined ? defaults(source) : openDocument(source, read.text, diagnostics);
  if (root === undefined) return { diagnostics };
  const unreplaced = interpolate(root, env, diagnostics);
  migrate(root, diagnostics);
  applyEnvironment(root, env, diagnostics);
  applySets(root, set, diagnostics);
  readSecretFiles(root, diagnostics);
  leaveOutPlainHttp(root);

  const document = toPlain(root);
  const config = validate(root, document, unreplaced, diagnostics, now);
  locateModules(config, root, source);
  return { diagnostics, root, document, config };
}

function readFile(path: string): { text: string } | { problem: string } {
  if (path === "") return { problem: "no config path specified" };
  const read = readText(path);
  if ("problem" in read) return isAbsolute(path) ? read : { problem: cannotRead(path, read.problem) };
  return read.text.includes("\n") ? read : { text: read.text.replaceAll("\r", "\n") };
}

/** Returns the configuration without a file: every block that is off without its key, and that needs no values. */
function defaults(source: string): TreeMapping {
  const at: Origin = { source, offset: -1 };
  const root = emptyMapping(at);
  for (const name of defaultBlocks) root.entries.set(name, { keyAt: at, value: emptyMapping(at) });
  return root;
}

/** Parses the file and returns the mapping under `chihaya`. */
function openDocument(file: string, text: string, diagnostics: Diagnostics): TreeMapping | undefined {
  const tree = parseTree(file, text, diagnostics);
  if (tree === undefined) return undefined;
  const root = findTop(tree, diagnostics);
  if (root === undefined) return undefined;
  // A block without keys (all of them commented out) has the defaults.
  for (const path of optionalPaths) {
    const block = find(root, path.slice(0, -1));
    const entry = block?.kind === "mapping" ? block.entries.get(path.at(-1)!) : undefined;
    if (entry?.value.kind === "scalar" && entry.value.text === undefined)
      entry.value = emptyMapping(entry.keyAt);
  }
  return root;
}

/** Keys of Chihaya 1's JSON configuration; each file has at least one of them. */
const versionOneKeys = [
  "httpListenAddr",
  "udpListenAddr",
  "createOnAnnounce",
  "announce",
  "http_listen_addr",
];

function findTop(tree: Tree, diagnostics: Diagnostics): TreeMapping | undefined {
  if (tree.kind === "scalar" && tree.text === undefined) {
    diagnostics.error(tree.at, [], 'the file is empty; it should begin with "chihaya:"');
    return undefined;
  }
  if (tree.kind !== "mapping") {
    diagnostics.error(tree.at, [], 'expected a mapping that begins with "chihaya:"');
    return undefined;
  }
  const top = tree.entries.get("chihaya");
  if (top === undefined && versionOneKeys.some((key) => tree.entries.has(key))) {
    const message =
      'this is a configuration of Chihaya 1, which has other keys; start from the output of "chihaya config --default"';
    diagnostics.error(tree.at, [], message);
    return undefined;
  }
  for (const [key, { keyAt, isAnchored }] of tree.entries) {
    if (key === "chihaya" || isAnchored || key.startsWith("x-")) continue; // holds values for aliases
    const known = leaves.some(({ path }) => path[0] === key) || key === "prehooks" || key === "posthooks";
    const remedy = known ? `indent it below "chihaya:"` : `all settings belong below "chihaya:"`;
    diagnostics.error(keyAt, [key], `unknown key at the top; ${remedy}`);
  }
  if (top === undefined) {
    if (!diagnostics.hasErrors) diagnostics.error(tree.at, [], 'the file should begin with "chihaya:"');
    return undefined;
  }
  if (top.value.kind === "mapping") return top.value;
  if (top.value.kind === "scalar" && top.value.text === undefined) return emptyMapping(top.keyAt);
  diagnostics.error(top.value.at, ["chihaya"], "expected a mapping, with keys such as announce_interval");
  return undefined;
}

/** Turns plain HTTP off if only `https_addr` is set: the default of `addr` applies only if neither is set. */
function leaveOutPlainHttp(root: TreeMapping): void {
  const http = find(root, ["http"]);
  const tls = find(root, ["http", "https_addr"]);
  const isGiven = tls !== undefined && (tls.kind !== "scalar" || (tls.text ?? "") !== "");
  if (http?.kind !== "mapping" || http.entries.has("addr") || !isGiven) return;
  http.entries.set("addr", { keyAt: tls.at, value: { kind: "scalar", text: "", at: tls.at } });
}

/** Replaces each key such as `private_key_file` by `private_key` with the text of the file, in place. */
function readSecretFiles(root: TreeMapping, diagnostics: Diagnostics): void {
  for (const { path, value } of leaves) {
    if (!value.facts.secret) continue;
    const block = find(root, path.slice(0, -1));
    const key = path.at(-1)!;
    const fileKey = `${key}_file`;
    const filePath = [...path.slice(0, -1), fileKey];
    const given = find(root, filePath);
    if (block?.kind !== "mapping" || given?.kind !== "scalar" || !given.text) continue;
    const direct = find(root, path);
    if (direct?.kind === "scalar" && direct.text) {
      diagnostics.error(given.at, filePath, `give ${key} or ${fileKey}, not both`);
      continue;
    }
    const read = readText(given.text);
    if ("problem" in read) {
      diagnostics.error(given.at, filePath, cannotRead(given.text, read.problem));
      continue;
    }
    const text = read.text.replace(/\r?\n$/, "");
    if (text === "") diagnostics.error(given.at, filePath, `${given.text} is empty`);
    block.entries.delete(fileKey);
    block.entries.set(key, { keyAt: given.at, value: { kind: "scalar", text, at: given.at } });
  }
}

/** Reports all problems that the schema and the checks find. @returns the readable values, with defaults for the others */
function validate(
  root: TreeMapping,
  document: Plain,
  unreplaced: readonly Path[],
  diagnostics: Diagnostics,
  now: number,
): Config {
  const reader = new Reader("yaml");
  const config = schema.read(document, [], reader) as Config;
  const failed = [...unreplaced, ...reader.issues.map(({ path }) => path)];
  const isUnreplaced = (path: Path) => unreplaced.some((other) => formatPath(other) === formatPath(path));
  const error = (path: Path, message: string, isKey = false) => {
    const written = asWritten(root, path);
    if (!isUnreplaced(written)) diagnostics.error(locate(root, path, isKey), written, message);
  };
  const warning = (path: Path, message: string) => {
    const written = asWritten(root, path);
    if (!isUnreplaced(written)) diagnostics.warning(locate(root, path), written, message);
  };
  for (const issue of reader.issues) error(issue.path, explainIssue(issue), issue.isKey);
  for (const { path, message } of reader.warnings) warning(path, message);
  const isReadable = (...paths: Path[]) =>
    paths.every((path) => !failed.some((other) => overlap(path, other)));
  checkTogether(config, document, { now, error, warning, isReadable });
  return config;
}

/** Removes the index of a list of one item that was written as a single value. */
function asWritten(root: TreeMapping, path: Path): Path {
  const isItem = typeof path.at(-1) === "number" && find(root, path) === undefined;
  return isItem ? path.slice(0, -1) : path;
}

/** Whether two paths are equal, or one leads to the other. */
function overlap(a: Path, b: Path): boolean {
  return a.slice(0, b.length).every((step, index) => step === b[index]);
}
