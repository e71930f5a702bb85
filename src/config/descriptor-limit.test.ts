import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "./config.ts";
import { limitConnections, readDescriptorLimit } from "./descriptor-limit.ts";
import { loadConfig } from "./load.ts";

function configOf(...set: string[]): Config {
  const loaded = loadConfig({ env: {}, set });
  assert.ok(loaded.ok);
  return loaded.config;
}

test("connections are limited to what there are descriptors for, with some left for all else", () => {
  const { websocket, ...config } = configOf("http.max_connections=1000");
  for (const [workers, limit, expected] of [
    [1, undefined, 1000],
    [1, 65_536, 1000],
    [1, 1144, 1000],
    [1, 1143, 999],
    [1, 256, 128],
    [1, 64, 32],
    [4, 4192, 1000],
    [4, 1024, 208],
    [4, 2, 1],
  ] as const) {
    const { config: limited, lowered } = limitConnections(config, workers, limit);
    const warning = lowered[0]?.warning;
    assert.equal(limited.http?.maxConnections, expected, `${workers} workers, ${limit} files`);
    assert.equal(warning !== undefined, expected < 1000);
    if (warning === undefined) continue;
    assert.ok(warning.startsWith(`http.max_connections is 1000, and the limit of ${limit} open files`));
    assert.match(warning, /LimitNOFILE=.*ulimit -n/);
  }
  const { http: _, ...without } = config;
  assert.deepEqual(limitConnections(without as Config, 1, 10).lowered, []);

  for (const [limit, http, web] of [
    [65_536, 1000, 16_384],
    [11_144, 1000, 10_000],
    [1144, 500, 500],
    [300, 78, 78],
  ] as const) {
    const { config: limited, lowered } = limitConnections({ ...config, websocket }, 1, limit);
    assert.deepEqual(
      [limited.http?.maxConnections, limited.websocket?.maxConnections],
      [http, web],
      `${limit}`,
    );
    assert.equal(lowered.length, Number(http < 1000) + Number(web < 16_384));
  }
});

test("the limit of this process is read where the system tells it", (t) => {
  if (process.platform !== "linux") t.skip("only Linux says it in a file");
  else assert.ok((readDescriptorLimit() ?? Number.POSITIVE_INFINITY) >= 64);
});
