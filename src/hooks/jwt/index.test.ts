import assert from "node:assert/strict";
import { test } from "node:test";
import type { AnyBlock } from "../../options/index.ts";
import { jwt } from "./index.ts";

const options = { issuer: "registry", audience: "tracker", jwk_set_url: "https://registry.example.com/keys" };

test("a URL of keys is one that can be fetched", () => {
  const problem = (jwk_set_url: string) =>
    (jwt.options as AnyBlock).validate({ ...options, jwk_set_url }, "yaml").issues?.[0]?.message;
  assert.equal(problem(options.jwk_set_url), undefined);
  assert.equal(problem("https://me:secret@registry.example.com/keys"), "a URL with a user cannot be fetched");
  assert.match(problem("ftp://registry.example.com/keys")!, /^expected a URL with http or https/);
  assert.match(problem("keys.json")!, /^expected a URL with http or https/);
  assert.doesNotMatch(problem("https//registry.example.com/keys?key=secret")!, /secret/);
});
