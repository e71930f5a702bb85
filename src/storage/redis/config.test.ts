import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBroker, readBroker, withoutSecrets } from "./config.ts";

test("nothing of user and password is left in a URL for logs", () => {
  for (const secret of ["", "user:p@", "user:p@ss@", "p@ss@", ":p%40ss@", "u@h:p@s@s@", "user:12/p@ss@"]) {
    assert.equal(withoutSecrets(`redis://${secret}10.0.0.5:6379/0`), "redis://10.0.0.5:6379/0");
  }
});

test("any password is taken, as it is or percent-encoded", () => {
  const broker = { isTls: false, username: "", host: "h", port: 0, database: 0 };
  for (const password of [
    "100%",
    "%",
    "a%zz",
    "p/w",
    "p#w",
    "p?w",
    "p@w",
    "12/3",
    "p:w",
    "%ff%",
    "[",
    "p w",
    "é%C3",
  ]) {
    for (const text of [password, encodeURIComponent(password)]) {
      assert.deepEqual(parseBroker(`redis://:${text}@h`), { ...broker, password }, text);
      assert.deepEqual(parseBroker(`redis://me:${text}@h`), { ...broker, username: "me", password }, text);
      if (password.includes(":")) continue;
      assert.deepEqual(parseBroker(`redis://${text}@h`), { ...broker, password }, text);
    }
  }
});

test("a broker has a place", () => {
  for (const [url, place] of [
    ["redis://h", ["h", 0, 0]],
    ["redis://h/", ["h", 0, 0]],
    ["rediss://me@[::1]:7/3", ["::1", 7, 3]],
    ["redis://my_redis:6379", ["my_redis", 6379, 0]],
  ] as const) {
    const { host, port, database } = readBroker(url);
    assert.deepEqual([host, port, database], place);
  }
  for (const url of [
    "",
    "h:1",
    "http://h",
    "redis://",
    "redis://p@",
    "redis://h:",
    "redis://h:65536",
    "redis://h/x",
  ]) {
    assert.equal(typeof parseBroker(url), "string", url);
  }
  for (const url of [
    "redis://u:hunter2@",
    "redis://u:hunter2@h/x",
    "redis://u:hunter2@h:x",
    "redis://u:hunter2@h?x",
  ]) {
    assert.throws(
      () => readBroker(url),
      (error: Error) => !error.message.includes("hunter2"),
    );
  }
});
