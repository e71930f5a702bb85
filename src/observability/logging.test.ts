import assert from "node:assert/strict";
import { closeSync, fstatSync, openSync } from "node:fs";
import { test } from "node:test";
import { isJournal, type LogTarget, withPriority } from "./log-target.ts";
import { createLogger, type LoggingOptions } from "./logging.ts";

const file: LogTarget = { isTerminal: false, isJournal: false };
const terminal: LogTarget = { isTerminal: true, isJournal: false };
const journal: LogTarget = { isTerminal: false, isJournal: true };

async function logged(
  options: Partial<LoggingOptions>,
  log: (logger: Awaited<ReturnType<typeof createLogger>>) => void,
  target: LogTarget = file,
): Promise<string> {
  let text = "";
  const write = (line: string): void => {
    text += line;
  };
  log(await createLogger({ debug: false, format: "pretty", colors: false, ...options }, { write }, target));
  return text;
}

test("JSON is one object a line, with level, time, fields and message", async () => {
  const text = await logged({ format: "json" }, (logger) => logger.warn({ swarms: 3 }, "store is full"));
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
    const text = await logged({ debug, format: "json" }, (logger) => {
      for (const level of ["debug", "info", "warn", "error"] as const) logger[level]({}, level);
    });
    assert.equal(text.trimEnd().split("\n").length, lines);
  });
}

const hostile = "x\r\n[2026-01-01 00:00:00.000] INFO: forged \u001b[31m\u007f\u009b\u2028\u202e";
const controls = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e]/;

for (const format of ["json", "pretty"] as const) {
  test(`what is logged cannot forge a line or drive a terminal: ${format}`, async () => {
    const text = await logged({ format, colors: true }, (logger) => {
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
  const { err } = JSON.parse(await logged({ format: "json" }, (logger) => logger.error({ err: error }, "x")));
  assert.equal(err.message, "no\n    at forged");
  assert.equal(err.code, "E1");
  assert.match(err.stack, /^at .*logging\.test\.ts/);
  assert.doesNotMatch(err.stack, /forged/);
  assert.deepEqual([err.cause.type, err.cause.message], ["TypeError", "why"]);
});

test("a message is not a format", async () => {
  const text = await logged({ format: "json" }, (logger) => logger.info({}, "100%s %d"));
  assert.equal(JSON.parse(text).msg, "100%s %d");
});

test("auto is text for a terminal and for the journal, else JSON", async () => {
  const first = async (target: LogTarget, options: Partial<LoggingOptions> = {}) =>
    logged({ format: "auto", colors: true, ...options }, (logger) => logger.info({ a: 1 }, "hello"), target);
  assert.equal(JSON.parse(await first(file)).msg, "hello");
  assert.match(await first(terminal), /^\[.*\u001b\[32mINFO\u001b\[39m: \u001b\[36mhello/);
  assert.match(await first(terminal, { colors: false }), /^\[[\d-]+ [\d:.]+\] INFO: hello \{"a":1\}\n$/);
  assert.equal(await first(journal), '<6>INFO: hello {"a":1}\n');
  assert.equal(JSON.parse((await first(journal, { format: "json" })).slice(3)).msg, "hello");
  assert.match(await first(file, { format: "pretty" }), /INFO: hello/);
});

for (const format of ["json", "pretty"] as const) {
  test(`each line for the journal begins with its priority: ${format}`, async () => {
    const text = await logged(
      { format, debug: true },
      (logger) => {
        for (const level of ["debug", "info", "warn", "error"] as const)
          logger[level]({ level: "info" }, `<0>${hostile}`);
        logger.error({ err: new Error(hostile, { cause: new Error("why") }) }, "failed");
      },
      journal,
    );
    const lines = text.trimEnd().split("\n");
    assert.deepEqual(
      lines.slice(0, 4).map((line) => line.slice(0, 3)),
      ["<7>", "<6>", "<4>", "<3>"],
    );
    for (const line of lines.slice(4)) assert.equal(line.slice(0, 3), "<3>");
  });
}

test("every line of a text gets the priority, and an empty one none", () => {
  assert.equal(withPriority("a\n\n  b\n", "error"), "<3>a\n\n<3>  b\n");
  assert.equal(withPriority("", "warn"), "");
});

test("the journal is known by device and inode, which another file does not have", (t) => {
  const fd = openSync(import.meta.filename, "r");
  t.after(() => closeSync(fd));
  const { dev, ino } = fstatSync(fd);
  assert.ok(isJournal(fd, `${dev}:${ino}`));
  for (const stream of [undefined, "", `${dev}:${ino + 1}`, `${dev + 1}:${ino}`, `${dev}`, "x:y"])
    assert.ok(!isJournal(fd, stream));
  assert.ok(!isJournal(1_000_000, `${dev}:${ino}`));
});
