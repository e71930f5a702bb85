import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryDirectory } from "../../test/support/daemon.ts";
import { checkSocketPath, runtimeSocket } from "./socket-path.ts";
import type { Connection, StreamListener } from "./stream.ts";
import { listenUnix } from "./unix-socket.ts";

async function listen(t: TestContext, path: string, seen: string[] = []): Promise<StreamListener> {
  const handler = {
    opened: (connection: Connection) => {
      seen.push(connection.remote.toString());
      return connection;
    },
    received: (connection: Connection, bytes: Uint8Array, start: number, end: number) => {
      connection.write(bytes, start, end);
      connection.end(false);
    },
    ended() {},
    closed() {},
    drained() {},
  };
  const listener = await listenUnix({ path, handler, onError: () => undefined });
  t.after(() => listener.close());
  return listener;
}

async function echo(path: string, text: string): Promise<string> {
  const socket = connect({ path });
  socket.end(text);
  let received = "";
  for await (const chunk of socket.setEncoding("utf8")) received += chunk;
  return received;
}

test("a unix socket is the owner's alone from its first moment, whatever the umask", async (t) => {
  const path = join(temporaryDirectory(t), "a.sock");
  const before = process.umask(0);
  t.after(() => process.umask(before));
  const change = process.umask;
  const modes: number[] = [];
  t.mock.method(process, "umask", (mask: number) => {
    if (existsSync(path)) modes.push(statSync(path).mode & 0o777);
    return change(mask);
  });
  const seen: string[] = [];
  const listener = await listen(t, path, seen);
  assert.deepEqual(modes, [0o600], "before the mask is restored");
  assert.equal(change(), 0);
  assert.equal(await echo(path, "hello"), "hello");
  assert.deepEqual(seen, ["127.0.0.1"]);
  await listener.close();
  assert.ok(!existsSync(path));
  await listener.close();
});

test("a connection that is reset is closed, because a unix socket has no reset", async (t) => {
  const path = join(temporaryDirectory(t), "a.sock");
  const { promise: opened, resolve } = Promise.withResolvers<Connection>();
  const handler = { opened: resolve, received() {}, ended() {}, closed() {}, drained() {} };
  const listener = await listenUnix({ path, handler, onError: () => undefined });
  t.after(() => listener.close());
  const socket = connect({ path });
  (await opened).destroy(true);
  await once(socket, "close");
});

test("the socket of a process that was killed is replaced", async (t) => {
  const path = join(temporaryDirectory(t), "a.sock");
  const file = join(temporaryDirectory(t), "listen.mjs");
  writeFileSync(
    file,
    `import { createServer } from "node:net";
     createServer().listen(process.argv[2], () => process.send("listening"));`,
  );
  const child = fork(file, [path]);
  await once(child, "message");
  await assert.rejects(listen(t, path), /another process listens there; stop it/);
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.ok(existsSync(path));
  await listen(t, path);
  assert.equal(await echo(path, "new"), "new");
});

test("the socket of a living process is left alone, also if it accepts nothing", async (t) => {
  const path = join(temporaryDirectory(t), "a.sock");
  await listen(t, path);
  const { ino } = statSync(path);
  await assert.rejects(listen(t, path), {
    message: `cannot listen on unix:${path}: another process listens there; stop it, or choose another path`,
  });
  assert.equal(statSync(path).ino, ino);
  assert.equal(await echo(path, "old"), "old");
});

test("a file that is no socket is left alone", async (t) => {
  const path = join(temporaryDirectory(t), "a.sock");
  const link = join(temporaryDirectory(t), "link.sock");
  writeFileSync(path, "precious");
  symlinkSync(path, link);
  for (const file of [path, link]) {
    await assert.rejects(listen(t, file), /the file exists and is no socket; remove the file/);
    assert.equal(statSync(file).size, 8);
  }
});

test("a path that cannot be used is named with its remedy", async (t) => {
  const inside = temporaryDirectory(t);
  writeFileSync(join(inside, "file"), "");
  for (const [path, message] of [
    [
      join(inside, "none/a.sock"),
      `there is no directory ${inside}/none; create the directory, or choose another path`,
    ],
    [join(inside, "file/a.sock"), `${inside}/file is no directory; choose another path`],
    [`${inside}/${"é".repeat(100)}`, / has \d+ bytes, and that of a unix socket at most \d+; choose/],
    [`${inside}/a\0b`, /has no NUL character/],
  ] as const) {
    const expected = typeof message === "string" ? `cannot listen on unix:${path}: ${message}` : message;
    await assert.rejects(listen(t, path), { message: expected });
  }
});

test("the longest path that the system allows can be used, and a longer one is refused before the system cuts it", async (t) => {
  const inside = temporaryDirectory(t);
  const longest = process.platform === "linux" ? 107 : 103;
  const path = `${inside}/`.padEnd(longest, "x");
  assert.equal(checkSocketPath(path), undefined);
  assert.notEqual(checkSocketPath(`${path}x`), undefined);
  await listen(t, path);
  assert.ok(statSync(path).isSocket());
});

test("the runtime directory is the first that systemd names", () => {
  for (const [value, expected] of [
    [undefined, undefined],
    ["", undefined],
    ["/run/chihaya", "/run/chihaya/chihaya.sock"],
    ["/run/a:/run/b", "/run/a/chihaya.sock"],
  ] as const)
    assert.equal(runtimeSocket(value === undefined ? {} : { RUNTIME_DIRECTORY: value }), expected);
});
