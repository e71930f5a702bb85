import { parseDuration } from "../lib/duration.ts";
import type { Diagnostics, Path } from "./diagnostics.ts";
import { emptyMapping, find, locate, type Tree, type TreeList, type TreeMapping } from "./tree.ts";

/** Options that older versions had at the top; now each frontend has its own. */
const sharedOptions = ["max_numwant", "default_numwant", "max_scrape_infohashes"];

const withoutEffect = "older spelling without effect; remove it";

/** Keys for which Chihaya reads 0 as "the default". */
const zeroIsDefault: readonly Path[] = [
  ...["http", "udp"].flatMap((frontend) => sharedOptions.map((key) => [frontend, key])),
  ...["read_timeout", "write_timeout", "idle_timeout"].map((key) => ["http", key]),
  ...["gc_interval", "peer_lifetime"].map((key) => ["storage", "config", key]),
  ...["connect", "read", "write"].map((what) => ["storage", "config", `redis_${what}_timeout`]),
];

/** Options of the store that 2.0.0-rc.1 and later versions had directly below `storage`. */
const storeOptions = ["gc_interval", "peer_lifetime"];
const storeOptionsWithoutEffect = ["shards", "shard_count", "prometheus_reporting_interval"];

/**
 * Rewrites the keys of Chihaya and its older versions in place, and warns with the key to write instead. Sources: every
 * version of Chihaya's example files and of its Helm chart since 2.0.0-rc.1, and the page about Chihaya in Quay's
 * documentation.
 */
export function migrate(root: TreeMapping, diagnostics: Diagnostics): void {
  rename(root, [], "prometheus_addr", "metrics_addr", diagnostics);
  remove(root, ["http", "request_timeout"], `${withoutEffect}; use "shutdown_timeout"`, diagnostics);
  for (const key of storeOptionsWithoutEffect) remove(root, ["storage", key], withoutEffect, diagnostics);
  remove(root, ["storage", "config", "shards"], withoutEffect, diagnostics);
  for (const key of storeOptions) moveIntoConfig(root, key, diagnostics);
  for (const kind of ["prehooks", "posthooks"]) {
    const hooks = find(root, [kind]);
    if (hooks?.kind !== "list") continue;
    for (const index of hooks.items.keys()) migrateHook(root, [kind, index], diagnostics);
    removeGossip(hooks, kind, diagnostics);
  }
  moveSharedOptions(root, [], diagnostics);
  moveSharedOptions(root, ["storage"], diagnostics);
  replacePhpUrls(root, diagnostics);
  for (const path of zeroIsDefault) {
    const value = find(root, path);
    if (value?.kind !== "scalar" || value.text === undefined || parseDuration(value.text) !== 0) continue;
    diagnostics.warning(value.at, path, "0 means the default, as in Chihaya; remove the key");
    value.text = undefined;
  }
  const scrape = find(root, ["udp", "max_scrape_infohashes"]);
  if (scrape?.kind === "scalar" && /^\d+$/.test(scrape.text ?? "") && Number(scrape.text) > 74) {
    const message = "a UDP response has room for 74 infohashes; 74 is used";
    diagnostics.warning(scrape.at, ["udp", "max_scrape_infohashes"], message);
    scrape.text = "74";
  }
}

function mapping(root: Tree, path: Path): TreeMapping | undefined {
  const found = find(root, path);
  return found?.kind === "mapping" ? found : undefined;
}

function rename(root: TreeMapping, path: Path, from: string, to: string, diagnostics: Diagnostics): void {
  const block = mapping(root, path);
  const old = block?.entries.get(from);
  if (block === undefined || old === undefined) return;
  block.entries.delete(from);
  if (block.entries.has(to)) {
    diagnostics.warning(old.keyAt, [...path, from], `older spelling of ${to}, which is also set; remove it`);
    return;
  }
  block.entries.set(to, old);
  diagnostics.warning(old.keyAt, [...path, from], `older spelling; write "${to}"`);
}

function remove(root: TreeMapping, path: Path, message: string, diagnostics: Diagnostics): void {
  const block = mapping(root, path.slice(0, -1));
  const key = String(path.at(-1));
  const old = block?.entries.get(key);
  if (block === undefined || old === undefined) return;
  block.entries.delete(key);
  diagnostics.warning(old.keyAt, path, message);
}

function moveIntoConfig(root: TreeMapping, key: string, diagnostics: Diagnostics): void {
  const storage = mapping(root, ["storage"]);
  const old = storage?.entries.get(key);
  if (storage === undefined || old === undefined) return;
  storage.entries.delete(key);
  let config = storage.entries.get("config")?.value;
  if (config === undefined || (config.kind === "scalar" && config.text === undefined)) {
    config = emptyMapping(old.keyAt);
    storage.entries.set("config", { keyAt: old.keyAt, value: config });
  }
  if (config.kind !== "mapping") return; // the schema refuses it
  if (!config.entries.has(key)) config.entries.set(key, old);
  const message = `older spelling; write "${key}" below "storage.config", where it is used if missing`;
  diagnostics.warning(old.keyAt, ["storage", key], message);
}

/** Renames `config` of a hook, the older spelling, to `options`. Only hooks with the older spelling accept both lists. */
function migrateHook(root: TreeMapping, path: Path, diagnostics: Diagnostics): void {
  const isOlder = mapping(root, path)?.entries.has("config") ?? false;
  rename(root, path, "config", "options", diagnostics);
  if (isOlder) joinLists(root, path, diagnostics);
}

/** Removes the entries of the blacklist from the whitelist: an announce had to be in the first and not in the second. */
function joinLists(root: TreeMapping, path: Path, diagnostics: Diagnostics): void {
  const options = mapping(root, [...path, "options"]);
  const [white, black] = ["whitelist", "blacklist"].map((key) => options?.entries.get(key)?.value);
  if (options === undefined || white?.kind !== "list" || black?.kind !== "list") return;
  const textOf = (item: Tree) => (item.kind === "scalar" ? item.text : undefined);
  const refused = new Set(black.items.map(textOf));
  const items = white.items.filter((item) => !refused.has(textOf(item)));
  if (items.length === 0) return; // an empty whitelist would admit everything
  const { keyAt } = options.entries.get("blacklist")!;
  white.items = items;
  options.entries.delete("blacklist");
  const message = "older spelling; remove the blacklist, and remove its entries from the whitelist";
  diagnostics.warning(keyAt, [...path, "options", "blacklist"], message);
}

/** Removes the hook "gossip": the example file of 2.0.0-rc.1 names it, but it never existed. */
function removeGossip(hooks: TreeList, kind: string, diagnostics: Diagnostics): void {
  for (const [index, hook] of hooks.items.entries()) {
    const name = find(hook, ["name"]);
    if (name?.kind !== "scalar" || name.text !== "gossip") continue;
    diagnostics.warning(name.at, [kind, index, "name"], "a hook without effect in Chihaya; remove it");
  }
  hooks.items = hooks.items.filter((hook) => {
    const name = find(hook, ["name"]);
    return name?.kind !== "scalar" || name.text !== "gossip";
  });
}

function moveSharedOptions(root: TreeMapping, from: Path, diagnostics: Diagnostics): void {
  const block = mapping(root, from);
  for (const key of sharedOptions) {
    const old = block?.entries.get(key);
    if (old === undefined) continue;
    block?.entries.delete(key);
    const message = `older spelling; write "${key}" below "http" and "udp", where it is used if missing`;
    diagnostics.warning(old.keyAt, [...from, key], message);
    for (const frontend of ["http", "udp"]) {
      const block = mapping(root, [frontend]);
      if (block !== undefined && !block.entries.has(key))
        block.entries.set(key, { ...old, value: { ...old.value } });
    }
  }
}

function replacePhpUrls(root: TreeMapping, diagnostics: Diagnostics): void {
  const http = mapping(root, ["http"]);
  const old = http?.entries.get("enable_legacy_php_urls");
  if (http === undefined || old === undefined) return;
  const path = ["http", "enable_legacy_php_urls"];
  http.entries.delete("enable_legacy_php_urls");
  const enabled = old.value.kind === "scalar" && /^(true|yes|on)$/i.test(old.value.text ?? "");
  if (!enabled) {
    diagnostics.warning(old.keyAt, path, withoutEffect);
    return;
  }
  const routes = '"/announce.php" to "announce_routes" and "/scrape.php" to "scrape_routes"';
  diagnostics.warning(old.keyAt, path, `older spelling; add ${routes}`);
  for (const action of ["announce", "scrape"]) {
    const key = `${action}_routes`;
    const at = locate(root, ["http", key]);
    const given = http.entries.get(key)?.value;
    const items: Tree[] =
      given?.kind === "list" ? given.items : [given ?? { kind: "scalar", text: `/${action}`, at }];
    const php = `/${action}.php`;
    if (items.some((item) => item.kind === "scalar" && item.text === php)) continue;
    const value: Tree = { kind: "list", items: [...items, { kind: "scalar", text: php, at }], at };
    http.entries.set(key, { keyAt: at, value });
  }
}
