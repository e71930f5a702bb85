import { isAbsolute } from "node:path";
import type { z } from "zod";
import { cannotRead } from "../lib/file-errors.ts";
import { checkTogether } from "./checks.ts";
import type { Config } from "./config.ts";
import { type Diagnostic, Diagnostics, formatPath, type Origin, type Path } from "./diagnostics.ts";
import { applyEnvironment, applySets, type Environment, interpolate } from "./environment.ts";
import { explainIssue, unknownKey } from "./explain.ts";
import { checkModules, locateModules } from "./hook-modules.ts";
import { migrate } from "./legacy-keys.ts";
import { leaves, secretKeys } from "./outline.ts";
import { parseTree } from "./parse-tree.ts";
import { schema } from "./schema.ts";
import { expandPath, readText } from "./source.ts";
import { emptyMapping, find, locate, type Plain, type Tree, type TreeMapping, toPlain } from "./tree.ts";

export interface LoadOptions {
  /** Path of the file, where `$NAME` is replaced; without one, all is default and both frontends run. */
  file?: string | undefined;
  env: Environment;
  /** Flags such as `http.addr=127.0.0.1:6969`. */
  set?: readonly string[] | undefined;
}

/** A configuration that can be used, or all that is wrong with it. */
export type LoadResult =
  | { ok: true; config: Config; document: Plain; warnings: Diagnostic[] }
  | { ok: false; errors: Diagnostic[]; warnings: Diagnostic[] };

/** A configuration on its way; without `config` something is wrong with it. */
interface Loading {
  diagnostics: Diagnostics;
  root?: TreeMapping;
  document?: Plain;
  config?: Config | undefined;
}

/**
 * Loads a configuration: flags over environment over file over defaults. Reads the file, the files it names (TLS,
 * secrets, keys), and nothing else; never throws for what they hold. Modules of hooks are not looked into.
 *
 * `document` of the result is what stands under `chihaya` when all has been applied, without the defaults.
 */
export function loadConfig(options: LoadOptions): LoadResult {
  return finish(load(options));
}

/** Loads a configuration, and the modules of its hooks to have them check their options. */
export async function loadConfigAndModules(options: LoadOptions): Promise<LoadResult> {
  const loading = load(options);
  if (loading.config && loading.root) await checkModules(loading.config, loading.root, loading.diagnostics);
  return finish(loading);
}

function finish({ diagnostics, document, config }: Loading): LoadResult {
  const warnings = diagnostics.list("warning");
  if (config === undefined || document === undefined || diagnostics.hasErrors) {
    return { ok: false, errors: diagnostics.list("error"), warnings };
  }
  return { ok: true, config, document, warnings };
}

function load({ file, env, set = [] }: LoadOptions): Loading {
  const source = file === undefined ? "built-in defaults" : expandPath(file, env);
  const read = file === undefined ? { text: "" } : readFile(source);
  const diagnostics = new Diagnostics(source, "text" in read ? read.text : "", secretKeys);
  if ("problem" in read) {
    diagnostics.error({ source, offset: -1 }, [], read.problem);
    return { diagnostics };
  }

  const root = file === undefined ? defaults(source) : openDocument(source, read.text, diagnostics);
  if (root === undefined) return { diagnostics };
  const unsound = interpolate(root, env, diagnostics);
  migrate(root, diagnostics);
  applyEnvironment(root, env, diagnostics);
  applySets(root, set, diagnostics);
  readSecretFiles(root, diagnostics);
  leaveOutPlainHttp(root);

  const document = toPlain(root);
  const config = validate(root, document, unsound, diagnostics);
  if (config !== undefined) locateModules(config, root, source);
  return { diagnostics, root, document, config };
}

function readFile(path: string): { text: string } | { problem: string } {
  if (path === "") return { problem: "no config path specified" };
  const read = readText(path);
  if ("problem" in read) return isAbsolute(path) ? read : { problem: cannotRead(path, read.problem) };
  return read.text.includes("\n") ? read : { text: read.text.replaceAll("\r", "\n") };
}

/** What runs without a file: both frontends. */
function defaults(source: string): TreeMapping {
  const at: Origin = { source, offset: -1 };
  const root = emptyMapping(at);
  for (const key of ["http", "udp"]) root.entries.set(key, { keyAt: at, value: emptyMapping(at) });
  return root;
}

/** The mapping under `chihaya`, as it was written. */
function openDocument(file: string, text: string, diagnostics: Diagnostics): TreeMapping | undefined {
  const tree = parseTree(file, text, diagnostics);
  if (tree === undefined) return undefined;
  const root = findTop(tree, diagnostics);
  if (root === undefined) return undefined;
  // A block whose keys are all commented out is a block with defaults.
  for (const key of ["http", "udp"]) {
    const entry = root.entries.get(key);
    if (entry?.value.kind === "scalar" && entry.value.text === undefined)
      entry.value = emptyMapping(entry.keyAt);
  }
  return root;
}

/** Keys of the JSON that Chihaya 1 reads; each file has at least one of them. */
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
      'a configuration of Chihaya 1, whose keys are different; begin with "chihaya config --default"';
    diagnostics.error(tree.at, [], message);
    return undefined;
  }
  for (const [key, { keyAt, isAnchored }] of tree.entries) {
    if (key === "chihaya" || isAnchored || key.startsWith("x-")) continue; // what aliases below stand for
    const known = leaves.some(({ path }) => path[0] === key) || key === "prehooks" || key === "posthooks";
    const remedy = known ? `indent it below "chihaya:"` : `everything stands below "chihaya:"`;
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

/** HTTPS alone is HTTPS alone: the default address is for those who name none. */
function leaveOutPlainHttp(root: TreeMapping): void {
  const http = find(root, ["http"]);
  const tls = find(root, ["http", "https_addr"]);
  const isGiven = tls !== undefined && (tls.kind !== "scalar" || (tls.text ?? "") !== "");
  if (http?.kind !== "mapping" || http.entries.has("addr") || !isGiven) return;
  http.entries.set("addr", { keyAt: tls.at, value: { kind: "scalar", text: "", at: tls.at } });
}

/** Replaces each secret that is given as a file by what that file holds, in place. */
function readSecretFiles(root: TreeMapping, diagnostics: Diagnostics): void {
  for (const { path, field } of leaves) {
    if (!field.facts?.secret) continue;
    const block = find(root, path.slice(0, -1));
    const fileKey = `${field.key}_file`;
    const filePath = [...path.slice(0, -1), fileKey];
    const given = find(root, filePath);
    if (block?.kind !== "mapping" || given?.kind !== "scalar" || !given.text) continue;
    const direct = find(root, path);
    if (direct?.kind === "scalar" && direct.text) {
      diagnostics.error(given.at, filePath, `give ${field.key} or ${fileKey}, not both`);
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
    block.entries.set(field.key, { keyAt: given.at, value: { kind: "scalar", text, at: given.at } });
  }
}

/** Reports all that the schema and the checks find; returns what could be read, with defaults for the rest. */
function validate(
  root: TreeMapping,
  document: Plain,
  unreplaced: readonly Path[],
  diagnostics: Diagnostics,
): Config | undefined {
  const unsound = [...unreplaced];
  const isUnreplaced = (path: Path) => unreplaced.some((other) => formatPath(other) === formatPath(path));
  let result = schema.safeParse(document, { error: explainIssue });
  for (const { path, message, isKey } of problems(result.error)) {
    unsound.push(path);
    const written = asWritten(root, path);
    if (isUnreplaced(written)) continue;
    const text = isKey ? unknownKey(document, path.slice(0, -1), String(path.at(-1))) : message;
    diagnostics.error(locate(root, path, isKey), written, text);
  }
  // The checks want a whole configuration: what could not be read is left out for them. Twice, since what is
  // left can be wrong as well (the keys of a store whose name was).
  for (let pass = 0; pass < 2 && !result.success; pass++) {
    for (const { path } of problems(result.error)) unsound.push(path);
    result = schema.safeParse(without(document, unsound));
  }
  if (!result.success) return undefined;
  checkTogether(result.data, document, {
    error: (path, message) => diagnostics.error(locate(root, path), asWritten(root, path), message),
    warning: (path, message) => {
      if (!isUnreplaced(path)) diagnostics.warning(locate(root, path), asWritten(root, path), message);
    },
    sound: (...paths) => paths.every((path) => !unsound.some((other) => overlap(path, other))),
  });
  return result.data;
}

/** A list of one may have been written as a value: then it has no index. */
function asWritten(root: TreeMapping, path: Path): Path {
  const isItem = typeof path.at(-1) === "number" && find(root, path) === undefined;
  return isItem ? path.slice(0, -1) : path;
}

interface Problem {
  path: Path;
  message: string;
  /** Whether it is the key itself that is wrong. */
  isKey: boolean;
}

function problems(error: z.ZodError | undefined): Problem[] {
  return (error?.issues ?? []).flatMap((issue): Problem[] => {
    const path = issue.path as (string | number)[];
    if (issue.code !== "unrecognized_keys") return [{ path, message: issue.message, isKey: false }];
    return issue.keys.map((key) => ({ path: [...path, key], message: issue.message, isKey: true }));
  });
}

/** The document without the values at some paths; a list loses all of its items, a hook its list. */
function without(document: Plain, paths: readonly Path[]): Plain {
  const copy = structuredClone(document);
  for (const path of paths) {
    const index = path.findIndex((step) => typeof step === "number");
    const keys = index < 0 ? path : path.slice(0, index);
    let block: unknown = copy;
    for (const key of keys.slice(0, -1)) block = (block as Record<string, unknown> | undefined)?.[key];
    if (typeof block === "object" && block !== null) delete (block as Record<string, unknown>)[keys.at(-1)!];
  }
  return copy;
}

/** Whether one path is the other or leads to it. */
function overlap(a: Path, b: Path): boolean {
  return a.slice(0, b.length).every((step, index) => step === b[index]);
}
