import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutSecrets } from "./config.ts";

test("nothing of user and password is left in a URL for logs", () => {
  for (const secret of ["", "user:p@", "user:p@ss@", "p@ss@", ":p%40ss@", "u@h:p@s@s@", "user:12/p@ss@"]) {
    assert.equal(withoutSecrets(`redis://${secret}10.0.0.5:6379/0`), "redis://10.0.0.5:6379/0");
  }
});
