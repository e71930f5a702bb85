import assert from "node:assert/strict";
import { globSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parse } from "yaml";
import * as builtInHooks from "../hooks/index.ts";
import { renderJsonSchema } from "./json-schema.ts";
import { loadConfig } from "./load.ts";
import { renderEffective, renderExample } from "./render.ts";

const directory = mkdtempSync(join(tmpdir(), "chihaya-render-"));
after(() => rmSync(directory, { recursive: true }));

function load(yaml: string) {
  const file = join(directory, "chihaya.yaml");
  writeFileSync(file, yaml);
  const result = loadConfig({ file, env: {} });
  assert.deepEqual(result.ok ? [] : result.errors, []);
  assert.ok(result.ok);
  return result;
}

const builtIn = () => {
  const result = loadConfig({ env: {} });
  assert.ok(result.ok);
  return result.config;
};

test("the example file means exactly the defaults, without a warning", () => {
  const { config, warnings } = load(renderExample());
  assert.deepEqual(config, builtIn());
  assert.deepEqual(warnings, []);
});

test("the other store of the example file works when its comments are removed", () => {
  const [, text] = /^ {2}# storage:\n((?: {2}# {3}name: "redis"\n)(?: {2}# {3}.*\n)+)/m.exec(
    renderExample(),
  )!;
  const { storage } = load(`chihaya:\n  udp:\n  storage:\n${text!.replace(/^ {2}# /gm, "  ")}`).config;
  assert.ok(storage.name === "redis");
  assert.deepEqual(storage.config, {
    broker: ["redis://127.0.0.1:6379/0"],
    topology: "single",
    sentinelMaster: "mymaster",
    keyPrefix: "chihaya:",
    connectTimeout: 5,
    readTimeout: 2,
    peerLifetime: 1860,
    gcInterval: 180,
    peerIds: false,
    onFailure: "refuse",
    maxClockSkew: 5,
    maxLocalPeers: 250_000,
  });
});

test("the hooks of the example file work when their comments are removed", () => {
  const [others, hooks] = renderExample().split(/^(?= {2}prehooks:)/m) as [string, string];
  const { config } = load(others + hooks.replace(/^ {4}# (?=- name:| {2})/gm, "    "));
  assert.deepEqual(
    config.preHooks.map(({ name }) => name),
    Object.values(builtInHooks).map(({ name }) => name),
  );
});

test("a block that is off in the example file works when its comments are removed", () => {
  assert.equal(load(renderExample()).config.http?.opentracker, undefined);
  const text = renderExample().replace(/^ {4}# # Statistics.*?(?=^$)/ms, (off) =>
    off.replace(/^ {4}# /gm, "    "),
  );
  const { config } = load(text);
  assert.deepEqual(config.http?.opentracker, {
    ...{ statsPath: "/stats", statsFrom: ["127.0.0.0/8", "::1"] },
    ...{ fullScrape: false, redirectUrl: "", fifoAdd: "", fifoDelete: "" },
  });
  assert.deepEqual(
    load("chihaya:\n  http:\n    opentracker:\n").config.http?.opentracker,
    config.http?.opentracker,
  );
  assert.match(
    renderEffective({ http: { opentracker: {} } }),
    /^ {4}opentracker:\n {6}stats_path: "\/stats"\n/m,
  );
  assert.doesNotMatch(renderEffective({ http: {} }), /opentracker/);
});

test("an effective configuration, loaded again, is the same", () => {
  for (const file of globSync("test/fixtures/config/chihaya/*.yaml")) {
    const first = loadConfig({ file, env: {}, set: ["udp.private_key="] });
    assert.ok(first.ok);
    const printed = renderEffective(first.document);
    const second = load(printed);
    assert.deepEqual(second.config, first.config, file);
    assert.equal(renderEffective(second.document), printed);
    assert.deepEqual(
      second.warnings.filter(({ message }) => message.includes("older spelling")),
      [],
    );
  }
  const https = loadConfig({ env: {}, set: ["http.https_addr=:443"] });
  assert.equal(https.ok, false);
  assert.equal(load(renderEffective({ udp: {} })).config.http, undefined);
});

test("an effective configuration is complete and shows no secret", () => {
  const { document } = load("chihaya: {udp: {private_key: hunter2-hunter2-hunter2}, http: {}}");
  const printed = renderEffective(document);
  assert.ok(!printed.includes("hunter2"));
  assert.match(printed, /^ {4}private_key: "\*{8}"$/m);
  assert.match(printed, /^ {4}announce_routes: \["\/announce"\]$/m);
  assert.match(printed, /^ {4}max_numwant: 100$/m);
});

test("what may be secret in the URLs of hooks, and in options of others' hooks, is masked", () => {
  const { document } = load(`chihaya:
  http: {}
  prehooks:
    - name: torrent approval
      options: { whitelist_from: ["https://lists.example/x?key=SECRET", "local.txt"] }
    - name: jwt
      options: { issuer: a, audience: "https://tracker.example/announce", jwk_set_url: "https://keys.example/x?key=SECRET" }
    - module: ./hook.ts
      options: { api_key: SECRET, broker: "amqp://user:SECRET@h/v", nested: { password: SECRET, name: plain } }
`);
  const text = renderEffective(document);
  assert.doesNotMatch(text, /SECRET/);
  for (const shown of [
    "https://lists.example/x?",
    "local.txt",
    "https://tracker.example/announce",
    "plain",
  ]) {
    assert.ok(text.includes(shown), shown);
  }
});

test("in URLs of Redis only user and password are masked", () => {
  const { document } = load(
    "chihaya: {udp: {}, storage: {name: redis, config: {redis_topology: cluster, redis_broker: ['rediss://me:hunter2@a', 'rediss://me:hunter2@b:1']}}}",
  );
  const printed = renderEffective(document);
  assert.ok(!printed.includes("hunter2"));
  assert.match(printed, /^ {6}redis_broker: \["rediss:\/\/\*{8}@a", "rediss:\/\/\*{8}@b:1"\]$/m);
  assert.match(printed, /^ {6}max_local_peers: 250000$/m);
  assert.equal(load(printed).config.storage.name, "redis");
});

test("the JSON Schema accepts what is right and refuses what is wrong", () => {
  const schema = JSON.parse(renderJsonSchema());
  const refused = (yaml: string) => mismatches(parse(yaml), schema, "");
  assert.deepEqual(refused(renderExample()), []);
  assert.deepEqual(refused("chihaya:\n  http:\n  udp: {}\n  prehooks:\n"), []);
  assert.deepEqual(
    refused(
      "chihaya: {prehooks: [{name: torrent approval, options: {whitelist: [ab]}}], http: {addr: ':1'}}",
    ),
    [],
  );
  assert.deepEqual(refused("chihaya: {http: {max_numwnt: 1, max_numwant: many}, announce_interval: 30}"), [
    "/chihaya/announce_interval",
    "/chihaya/http/max_numwant",
    "/chihaya/http/max_numwnt",
  ]);
  assert.deepEqual(refused("chihaya: {prehooks: [{name: jvt}], storage: {name: sqlite}}").length, 2);
  assert.deepEqual(
    refused("chihaya: {storage: {name: redis, config: {redis_broker: 'redis://:x@h', on_failure: serve}}}"),
    [],
  );
  assert.equal(schema.properties.chihaya.properties.http.properties.max_numwant.default, 100);
  assert.equal(schema.properties.chihaya.properties.http.properties.enable_keepalive.default, true);
});

/** Validates the part of JSON Schema that is used here; returns the places that do not match. */
function mismatches(value: unknown, schema: Record<string, unknown>, at: string): string[] {
  const options = (schema.anyOf ?? schema.oneOf) as Record<string, unknown>[] | undefined;
  if (options !== undefined)
    return options.some((option) => mismatches(value, option, at).length === 0) ? [] : [at];
  const typeOf =
    value === null
      ? "null"
      : Array.isArray(value)
        ? "array"
        : Number.isInteger(value)
          ? "integer"
          : typeof value;
  const types = [schema.type ?? typeOf].flat();
  if (!types.includes(typeOf) && !(typeOf === "integer" && types.includes("number"))) return [at];
  if (schema.const !== undefined && schema.const !== value) return [at];
  if (typeof value === "string" && !new RegExp((schema.pattern as string) ?? "").test(value)) return [at];
  if (typeof value === "number") {
    const { minimum = value, maximum = value } = schema as { minimum?: number; maximum?: number };
    if (value < minimum || value > maximum) return [at];
  }
  if (Array.isArray(value)) {
    const items = (schema.items ?? {}) as Record<string, unknown>;
    return value.flatMap((item, index) => mismatches(item, items, `${at}/${index}`));
  }
  if (typeOf !== "object") return [];
  const properties = (schema.properties ?? {}) as Record<string, Record<string, unknown>>;
  const missing = ((schema.required ?? []) as string[]).filter((key) => !Object.hasOwn(value as object, key));
  return [
    ...missing.map((key) => `${at}/${key}`),
    ...Object.entries(value as object).flatMap(([key, below]) => {
      const known = properties[key];
      return known ? mismatches(below, known, `${at}/${key}`) : [`${at}/${key}`];
    }),
  ].sort();
}
