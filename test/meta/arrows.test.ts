/** Keeps the layers of `docs/architecture.md`: which room of `src` may import which. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { test } from "node:test";

/** What each room may import besides itself. A room ends with a slash, a single file does not. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  ip: ["lib/"],
  bittorrent: ["lib/", "ip/"],
  protocol: ["lib/", "ip/", "bittorrent/"],
  net: ["lib/", "ip/"],
  http: ["lib/", "ip/", "protocol/", "net/"],
  options: ["lib/", "ip/"],
  storage: [
    "lib/",
    "ip/",
    "bittorrent/",
    "options/",
    "observability/logger.ts",
    "observability/metrics.ts",
    "observability/rate-limited.ts",
    "observability/storage-metrics.ts",
  ],
  middleware: [
    "lib/",
    "ip/",
    "bittorrent/",
    "options/",
    "storage/peer-store.ts",
    "observability/logger.ts",
    "observability/metrics.ts",
  ],
  hooks: [
    "lib/",
    "ip/",
    "bittorrent/",
    "options/",
    "storage/peer-store.ts",
    "storage/memory/layout.ts",
    "observability/logger.ts",
    "observability/metrics.ts",
    "middleware/",
  ],
  private: [
    "lib/",
    "ip/",
    "bittorrent/",
    "protocol/router.ts",
    "net/",
    "http/",
    "options/",
    "middleware/buckets.ts",
    "middleware/hook.ts",
    "middleware/shared-state.ts",
    "observability/logger.ts",
    "observability/metrics.ts",
    "observability/rate-limited.ts",
  ],
  observability: ["lib/", "ip/", "bittorrent/", "net/descriptor-limit.ts", "storage/peer-store.ts"],
  operator: [
    "lib/",
    "ip/",
    "bittorrent/",
    "options/",
    "net/",
    "http/",
    "middleware/access-list/editable-list.ts",
    "middleware/access-list/list-edits.ts",
    "middleware/bans/ban-memory.ts",
    "observability/",
    "private/passkey.ts",
    "private/site-records.ts",
    "storage/peer-store.ts",
    "storage/records.ts",
  ],
  frontend: [
    "lib/",
    "ip/",
    "bittorrent/",
    "protocol/",
    "net/",
    "http/",
    "storage/live-sync/options.ts",
    "storage/peer-store.ts",
    "storage/records.ts",
    "middleware/hook.ts",
    "middleware/logic.ts",
    "observability/certificate-metrics.ts",
    "observability/logger.ts",
    "observability/metrics.ts",
    "observability/observer.ts",
    "observability/response-metrics.ts",
    "options/",
  ],
  client: ["lib/", "ip/", "bittorrent/", "protocol/"],
  load: [
    "lib/",
    "ip/",
    "bittorrent/",
    "protocol/",
    "net/linux/abi.ts",
    "net/linux/epoll.ts",
    "net/linux/libc.ts",
  ],
  config: [
    "lib/",
    "ip/",
    "bittorrent/",
    "options/",
    "protocol/",
    "net/network.ts",
    "net/open-network.ts",
    "net/stream.ts",
    "frontend/",
    "storage/",
    "middleware/",
    "hooks/",
    "operator/admin-options.ts",
    "private/options.ts",
  ],
  tracker: [
    "lib/",
    "ip/",
    "bittorrent/",
    "options/",
    "net/",
    "http/",
    "storage/",
    "middleware/",
    "hooks/",
    "observability/",
    "frontend/",
    "private/",
    "config/",
  ],
  process: [
    "lib/",
    "ip/",
    "bittorrent/",
    "net/",
    "storage/",
    "middleware/",
    "observability/",
    "operator/",
    "frontend/",
    "private/",
    "config/",
    "tracker/",
  ],
  cli: [
    "lib/",
    "ip/",
    "bittorrent/",
    "protocol/bencode/",
    "options/addresses.ts",
    "net/socket-path.ts",
    "hooks/jwt/",
    "observability/",
    "config/",
    "storage/redis/config.ts",
    "operator/scopes.ts",
    "operator/api/access.ts",
    "operator/api/endpoints/stats.ts",
    "private/",
    "process/",
    "client/",
    "load/",
  ],
  "testing.ts": [
    "lib/",
    "ip/",
    "bittorrent/",
    "client/",
    "middleware/",
    "observability/",
    "tracker/",
    "storage/memory/",
  ],
  "index.ts": [
    "lib/",
    "ip/",
    "bittorrent/",
    "protocol/",
    "net/",
    "http/",
    "storage/",
    "options/",
    "middleware/",
    "observability/",
    "frontend/",
    "client/",
    "config/",
    "tracker/",
  ],
};

/** Where a package may be imported; all others nowhere. */
const packages: Readonly<Record<string, readonly string[]>> = {
  "@redis/client": ["storage/redis/"],
  jose: ["hooks/jwt/", "cli/commands/token.ts"],
  koffi: ["net/linux/"],
  "mmdb-lib": ["hooks/locality/read-mmdb.ts"],
  "mysql2/promise": ["private/sites/mysql/"],
  pino: ["observability/logging.ts"],
  "pino-pretty": ["observability/logging.ts"],
  postgres: ["private/sites/sql/postgres.ts"],
  yaml: ["config/"],
};

/** Rooms that do no input or output, and the modules of Node.js that they may use all the same. */
const pure: Readonly<Record<string, readonly string[]>> = {
  ip: [],
  bittorrent: ["node:crypto"],
  protocol: ["node:buffer", "node:crypto"],
  middleware: ["node:crypto"],
  hooks: ["node:crypto"],
};

/** The files among them that read what others write, and what they read it with. */
const readers: Readonly<Record<string, readonly string[]>> = {
  "middleware/access-list/list-source.ts": ["node:fs/promises"],
  "middleware/access-list/read-list.ts": ["node:buffer"],
  "hooks/jwt/read-key-set.ts": ["node:fs/promises"],
  "hooks/locality/database-level.ts": ["node:fs/promises"],
  "hooks/locality/read-mmdb.ts": ["node:fs/promises"],
  "lib/file-errors.ts": ["node:path"],
};

const statement =
  /^\s*(?:import|export)\b[^;"']*\bfrom\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']|\bimport\s*\(\s*["']([^"']+)["']/gm;

/** @param file  path below `src` @returns one line for each import that must not be */
function forbiddenImports(file: string, source: string): string[] {
  const room = file.split("/")[0]!;
  const allowed = arrows[room];
  if (allowed === undefined) return [`${file}: ${room} is not in the table of arrows`];
  const found: string[] = [];
  for (const [, from, bare, dynamic] of source.matchAll(statement)) {
    const specifier = (from ?? bare ?? dynamic)!;
    if (specifier.startsWith(".")) {
      const target = posix.join(posix.dirname(file), specifier);
      if (target.split("/")[0] === room || matches(target, allowed)) continue;
      found.push(`${file}: ${room} must not import ${target}`);
    } else if (specifier.startsWith("node:")) {
      const modules = [...(pure[room] ?? []), ...(readers[file] ?? [])];
      if (room in pure && !modules.includes(specifier))
        found.push(`${file}: ${room} must not import ${specifier}`);
    } else if (!matches(file, packages[specifier] ?? [])) {
      found.push(`${file}: ${specifier} must not be imported here`);
    }
  }
  return found;
}

function matches(path: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => (prefix.endsWith("/") ? path.startsWith(prefix) : path === prefix));
}

for (const [file, source, expected] of [
  ["bittorrent/a.ts", 'import { b } from "./b.ts";', undefined],
  ["bittorrent/a.ts", 'import { b } from "../protocol/b.ts";', "bittorrent must not import protocol/b.ts"],
  ["bittorrent/a.ts", 'import type { b } from "../config/b.ts";', "bittorrent must not import config/b.ts"],
  ["bittorrent/a.ts", 'import { connect } from "node:net";', "bittorrent must not import node:net"],
  ["bittorrent/a.ts", 'export const x = 1; // taken from "../cli/x.ts"', undefined],
  ["protocol/udp/a.ts", 'import {\n  b,\n  c,\n} from "../../bittorrent/b.ts";', undefined],
  [
    "protocol/udp/a.ts",
    'import {\n  b,\n  c,\n} from "../../net/b.ts";',
    "protocol must not import net/b.ts",
  ],
  ["protocol/udp/a.ts", 'import "node:fs";', "protocol must not import node:fs"],
  ["middleware/x/a.ts", 'import { S } from "../../storage/peer-store.ts";', undefined],
  [
    "middleware/x/a.ts",
    'export * from "../../storage/memory/m.ts";',
    "middleware must not import storage/memory/m.ts",
  ],
  [
    "storage/a.ts",
    'import { H } from "../middleware/hook.ts";',
    "storage must not import middleware/hook.ts",
  ],
  [
    "frontend/http/a.ts",
    'const c = await import("../../config/c.ts");',
    "frontend must not import config/c.ts",
  ],
  ["process/a.ts", 'import { x } from "../cli/x.ts";', "process must not import cli/x.ts"],
  ["process/a.ts", 'import { z } from "zod";', "zod must not be imported here"],
  ["observability/logging.ts", 'import { pino } from "pino";', undefined],
  ["observability/logger.ts", 'import { pino } from "pino";', "pino must not be imported here"],
  ["config/a.ts", 'import left from "left-pad";', "left-pad must not be imported here"],
  ["attic/a.ts", "", "attic is not in the table of arrows"],
] as const) {
  test(`${expected === undefined ? "allowed" : "forbidden"} in ${file}: ${source.replaceAll("\n", " ")}`, () => {
    assert.deepEqual(forbiddenImports(file, source), expected === undefined ? [] : [`${file}: ${expected}`]);
  });
}

test("every import of src follows an arrow", () => {
  const files = globSync("**/*.ts", { cwd: "src" }).filter((file) => !file.endsWith(".test.ts"));
  assert.ok(files.length > 20);
  const found = files.sort().flatMap((file) => forbiddenImports(file, readFileSync(`src/${file}`, "utf8")));
  assert.deepEqual(found, []);
});

test("no file of src imports itself through others", () => {
  const files = globSync("**/*.ts", { cwd: "src" }).filter((file) => !file.endsWith(".test.ts"));
  const imports = new Map(
    files.map((file) => [file, importsOf(file, readFileSync(`src/${file}`, "utf8")).sort()]),
  );
  assert.deepEqual(circles(imports), []);
});

test("a circle is found", () => {
  const imports = { "a.ts": ["b.ts"], "b.ts": ["c.ts"], "c.ts": ["b.ts"] };
  assert.deepEqual(circles(new Map(Object.entries(imports))), ["b.ts > c.ts > b.ts"]);
  assert.deepEqual(importsOf("x/a.ts", 'import type { B } from "../y/b.ts";\nawait import("./c.ts");'), [
    "y/b.ts",
    "x/c.ts",
  ]);
});

/** Files below `src` that a file imports, types included. */
function importsOf(file: string, source: string): string[] {
  return [...source.matchAll(statement)]
    .map(([, from, bare, dynamic]) => (from ?? bare ?? dynamic)!)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => posix.join(posix.dirname(file), specifier));
}

function circles(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) found.push([...path.slice(at), file].join(" > "));
    if (at >= 0 || done.has(file)) return;
    for (const next of imports.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of [...imports.keys()].sort()) visit(file, []);
  return found;
}
