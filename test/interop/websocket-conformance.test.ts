/** The cases of the Autobahn testsuite against the frame reader and writer, by kosoku, which runs them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HttpServer } from "../../src/http/http-server.ts";
import { Routes } from "../../src/http/routes.ts";
import type { Connection, StreamHandler } from "../../src/net/stream.ts";
import { noCode } from "../../src/protocol/websocket/close-code.ts";
import { FrameReader } from "../../src/protocol/websocket/frame-reader.ts";
import {
  maxFrameHeader,
  Opcode,
  writeCloseFrame,
  writeFrameHeader,
} from "../../src/protocol/websocket/frame-writer.ts";
import { acceptKey } from "../../src/protocol/websocket/handshake.ts";
import { MessageMemory } from "../../src/protocol/websocket/message-memory.ts";
import { withoutProgram } from "../e2e/process.ts";
import { Program, temporaryDirectory } from "../support/daemon.ts";
import { httpServerOptions } from "../support/http-server-options.ts";
import { listEngines } from "../support/networks.ts";

/** Messages of megabytes, and compression, which the tracker has not. */
const excluded = ["9.*", "12.*", "13.*"];
const least = 240;

const skip = await withoutProgram("kosoku", ["--help"], "pip install kosoku");
const limits = { maxMessage: 1 << 20, maxFragments: 4096 };

/** Sends each message back. */
function createEcho(): StreamHandler<FrameReader> {
  const memory = new MessageMemory(1 << 26);
  return {
    opened(connection: Connection) {
      const send = (opcode: Opcode, bytes: Uint8Array, start: number, end: number) => {
        const out = new Uint8Array(maxFrameHeader + end - start);
        const at = writeFrameHeader(out, 0, opcode, end - start);
        out.set(bytes.subarray(start, end), at);
        connection.write(out, 0, at + end - start);
      };
      const close = (code: number) => {
        const out = new Uint8Array(4);
        connection.write(out, 0, writeCloseFrame(out, 0, code));
        connection.end(true);
      };
      return new FrameReader(
        {
          message: (bytes, start, end, isText) =>
            send(isText ? Opcode.text : Opcode.binary, bytes, start, end),
          ping: (bytes, start, end) => send(Opcode.pong, bytes, start, end),
          pong: () => undefined,
          closing: (code) => close(code === noCode ? 1000 : code),
          failed: close,
        },
        limits,
        memory,
      );
    },
    received: (reader, bytes, start, end) => reader.receive(bytes, start, end),
    ended: () => undefined,
    drained: () => undefined,
    closed: (reader) => reader.stop(),
  };
}

for (const { name, open, skip: missing } of await listEngines()) {
  test(`the Autobahn cases pass (${name} network)`, { skip: skip || missing }, async (t) => {
    const network = await open();
    t.after(() => network.close());
    const echo = createEcho() as StreamHandler<unknown>;
    const routes = new Routes(
      [
        {
          path: "/*",
          handle: ({ headers }) => ({
            headers: {
              upgrade: "websocket",
              "sec-websocket-accept": acceptKey(headers.get("sec-websocket-key")!),
            },
            upgrade: echo,
          }),
        },
      ],
      (error) => assert.fail(error),
    );
    const server = new HttpServer(httpServerOptions, {
      handler: routes,
      clock: { seconds: 0, unixSeconds: 0 },
      listen: network.listenStream,
      onError: (error) => assert.fail(error),
    });
    await server.start();
    t.after(() => server.stop(AbortSignal.abort()));
    const directory = temporaryDirectory(t);
    const kosoku = new Program(t, "kosoku", [
      server.urls()[0]!.replace("http", "ws"),
      ...excluded.flatMap((group) => ["-x", group]),
      ...["-p", "2", "-o", directory],
    ]);
    await kosoku.ended;
    const report = JSON.parse(readFileSync(join(directory, "index.json"), "utf8")) as Record<
      string,
      Record<string, { behavior: string; behaviorClose: string }>
    >;
    const cases = Object.values(report).flatMap((agent) => Object.entries(agent));
    const good = new Set(["OK", "INFORMATIONAL", "NON-STRICT"]);
    const failed = cases.filter(
      ([, { behavior, behaviorClose }]) => !good.has(behavior) || !good.has(behaviorClose),
    );
    assert.deepEqual(failed, []);
    assert.ok(cases.length >= least, `${cases.length} cases of at least ${least}:\n${kosoku.stdout}`);
    t.diagnostic(`${cases.length} cases run; skipped: ${excluded.join(", ")}`);
  });
}
