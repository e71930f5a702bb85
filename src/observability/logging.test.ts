import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, type LoggingOptions } from "./logging.ts";

async function logged(
  options: Partial<LoggingOptions>,
  log: (logger: Awaited<ReturnType<typeof createLogger>>) => void,
): Promise<string> {
  let text = "";
  const write = (line: string): void => {
    text += line;
  };
  log(await createLogger({ debug: false, json: false, colors: false, ...options }, { write }));
  return text;
}

test("JSON is one object a line, with level, time, fields and message", async () => {
  const text = await logged({ json: true }, (logger) => logger.warn({ swarms: 3 }, "store is full"));
  const { time, ...rest } = JSON.parse(text);
  assert.deepEqual(rest, { level: "warn", swarms: 3, msg: "store is full" });
  assert.match(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});

test("text is for people", async () => {
  const text = await logged({}, (logger) => logger.info({ url: "udp://[::1]:6969" }, "listening"));
  assert.match(text, /^\[[\d-]+ [\d:.]+\] INFO: listening \{"url":"udp:\/\/\[::1\]:6969"\}\n$/);
});

for (const [debug, lines] of [
  [false, 3],
  [true, 4],
] as const) {
  test(`debug lines are written only on demand: ${debug}`, async () => {
    const text = await logged({ debug, json: true }, (logger) => {
      for (const level of ["debug", "info", "warn", "error"] as const) logger[level]({}, level);
    });
    assert.equal(text.trimEnd().split("\n").length, lines);
  });
}

const hostile = "x\r\n[2026-01-01 00:00:00.000] INFO: forged \u001b[31m\u007f\u009b\u2028\u202e";
const controls = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e]/;

for (const json of [true, false]) {
  test(`what is logged cannot forge a line or drive a terminal: ${json ? "JSON" : "text"}`, async () => {
    const text = await logged({ json, colors: true }, (logger) => {
      logger.error({ field: hostile, [hostile]: { nested: [hostile] } }, hostile);
      const cause = new Error(hostile);
      logger.error({ err: Object.assign(new Error(hostile, { cause }), { code: hostile }) }, "failed");
      logger.error({ err: hostile }, "failed");
    });
    assert.doesNotMatch(text, controls);
    assert.doesNotMatch(text, /^\[[^\]]*\] INFO/m);
    assert.match(text, /forged/);
  });
}

test("an error is described with its code, its causes and its own stack", async () => {
  const error = Object.assign(new Error("no\n    at forged", { cause: new TypeError("why") }), {
    code: "E1",
  });
  const { err } = JSON.parse(await logged({ json: true }, (logger) => logger.error({ err: error }, "x")));
  assert.equal(err.message, "no\n    at forged");
  assert.equal(err.code, "E1");
  assert.match(err.stack, /^at .*logging\.test\.ts/);
  assert.doesNotMatch(err.stack, /forged/);
  assert.deepEqual([err.cause.type, err.cause.message], ["TypeError", "why"]);
});

test("a message is not a format", async () => {
  const text = await logged({ json: true }, (logger) => logger.info({}, "100%s %d"));
  assert.equal(JSON.parse(text).msg, "100%s %d");
});
