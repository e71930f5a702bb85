import { parseDuration } from "../lib/duration.ts";
import type { Diagnostics, Path } from "./diagnostics.ts";
import { find, locate, type Tree, type TreeMapping } from "./tree.ts";

/** Options that stood at the top until each frontend got its own. */
const sharedOptions = ["max_numwant", "default_numwant", "max_scrape_infohashes"];

const withoutEffect = "older spelling without effect; remove it";

/** Values where Chihaya takes zero for "the default". */
const zeroIsDefault: readonly Path[] = [
  ...["http", "udp"].flatMap((frontend) => sharedOptions.map((key) => [frontend, key])),
  ...["read_timeout", "write_timeout", "idle_timeout"].map((key) => ["http", key]),
  ...["gc_interval", "peer_lifetime"].map((key) => ["storage", "config", key]),
  ...["connect", "read", "write"].map((what) => ["storage", "config", `redis_${what}_timeout`]),
];

/**
 * Rewrites, in place, what files for Chihaya and its older versions say differently, and warns with what to
 * write instead. Sources: Chihaya's example file, its Helm chart, the examples of 2.0.0-rc.2.
 */
export function modernise(root: TreeMapping, diagnostics: Diagnostics): void {
  rename(root, [], "prometheus_addr", "metrics_addr", diagnostics);
  const store = ["storage", "config"];
  const shards = mapping(root, store)?.entries.get("shards");
  if (shards !== undefined) {
    mapping(root, store)?.entries.delete("shards");
    diagnostics.warning(shards.keyAt, [...store, "shards"], withoutEffect);
  }
  for (const kind of ["prehooks", "posthooks"]) {
    const hooks = find(root, [kind]);
    if (hooks?.kind !== "list") continue;
    for (const index of hooks.items.keys()) rename(root, [kind, index], "config", "options", diagnostics);
  }
  moveSharedOptions(root, diagnostics);
  replacePhpUrls(root, diagnostics);
  for (const path of zeroIsDefault) {
    const value = find(root, path);
    if (value?.kind !== "scalar" || value.text === undefined || parseDuration(value.text) !== 0) continue;
    diagnostics.warning(value.at, path, "0 means the default, as in Chihaya; leave the key out for that");
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
    diagnostics.warning(
      old.keyAt,
      [...path, from],
      `older spelling of ${to}, which is there as well; remove it`,
    );
    return;
  }
  block.entries.set(to, old);
  diagnostics.warning(old.keyAt, [...path, from], `older spelling; write "${to}"`);
}

function moveSharedOptions(root: TreeMapping, diagnostics: Diagnostics): void {
  for (const key of sharedOptions) {
    const old = root.entries.get(key);
    if (old === undefined) continue;
    root.entries.delete(key);
    const message = `older spelling; write "${key}" below "http" and "udp", where it is used if missing`;
    diagnostics.warning(old.keyAt, [key], message);
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
