import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { listEngines } from "../../../test/support/networks.ts";
import type { Connection, StreamHandler } from "../stream.ts";
import { Linux } from "./abi.ts";
import { EventLoop } from "./event-loop.ts";
import { type Libc, loadLibc } from "./libc.ts";
import { Poller } from "./poller.ts";
import { listenStream } from "./stream.ts";

interface State {
  connection: Connection;
  name: number;
}

const skip = (await listEngines()).find(({ name }) => name === "linux")!.skip;

/**
 * Opens a listener with a poller of its own.
 * @param handler  the methods that a test needs
 * @param own      replaces the system calls
 * @returns a function that connects a client
 */
async function listen<State>(
  t: TestContext,
  handler: Pick<StreamHandler<State>, "opened" | "received"> & Partial<StreamHandler<State>>,
  { own, onError = assert.fail }: { own?: Libc; onError?: (error: Error) => void } = {},
): Promise<() => Socket> {
  const libc = await loadLibc();
  const poller = new Poller(own ?? libc, new EventLoop(libc));
  const nothing = { ended() {}, closed() {}, drained() {} };
  const options = { host: "127.0.0.1", port: 0, onError };
  const listener = listenStream(poller, { ...options, handler: { ...nothing, ...handler } });
  const clients: Socket[] = [];
  t.after(async () => {
    for (const client of clients) client.destroy();
    await listener.close();
    poller.close();
  });
  return () => {
    const client = connect(listener.port, "127.0.0.1");
    clients.push(client);
    return client;
  };
}

test("a connection that cannot be polled is closed, and the others continue", { skip }, async (t) => {
  const libc = await loadLibc();
  let full = false;
  const own: Libc = {
    ...libc,
    epoll_ctl: (epoll, operation, fd, event) =>
      libc.epoll_ctl(epoll, operation, full && operation === Linux.EPOLL_CTL_ADD ? -1 : fd, event),
  };
  const errors: string[] = [];
  const log: string[] = [];
  let opened = 0;
  const dial = await listen<State>(
    t,
    {
      opened: (connection) => ({ connection, name: ++opened }),
      received: ({ connection }, bytes, start, end) => connection.write(bytes, start, end),
      ended: ({ connection }) => connection.end(false),
      closed: ({ name }) => log.push(`${name} closed`),
    },
    { own, onError: ({ message }) => errors.push(message) },
  );
  const say = async (client: Socket, text: string) => {
    client.write(text);
    assert.equal(String((await once(client, "data"))[0]), text);
  };

  const before = dial();
  await say(before, "one");
  full = true;
  const between = dial();
  await say(between, "two"); // a connection that needs no polling gets its response
  await once(between, "close");
  assert.deepEqual([log, errors], [["2 closed"], ["epoll_ctl: EBADF"]]);
  full = false;
  await say(before, "three");
  await say(dial(), "four");
  assert.deepEqual([log, errors], [["2 closed"], ["epoll_ctl: EBADF"]]);
});

test("connections that forget their addresses share none with open connections", { skip }, async (t) => {
  const open = new Map<number, Connection>();
  const connectClient = await listen<Connection>(t, {
    opened: (connection) => connection,
    received: (connection, bytes, start, end) => {
      open.set(connection.remotePort, connection);
      if (String(bytes.subarray(start, end)) === "forget") {
        connection.forgetRemote!();
        connection.forgetRemote!();
      }
      connection.write(bytes, start, end);
    },
    ended: (connection) => connection.end(false),
    closed: ({ remotePort }) => open.delete(remotePort),
  });
  const dial = async (text: string) => {
    const client = connectClient();
    client.write(text);
    await once(client, "data");
    return client;
  };
  const gone = await dial("forget");
  const long = await dial("forget");
  gone.end();
  await once(gone, "close");
  for (let i = 0; i < 3; i++) await dial("keep");
  long.end();
  await once(long, "close");
  for (let i = 0; i < 3; i++) await dial("keep");
  const addresses = [...open.values()].map(({ remote }) => remote);
  assert.equal(new Set(addresses).size, 6);
  assert.deepEqual([...new Set(addresses.map(String))], ["127.0.0.1"]);
});

for (const [name, errno, isClosed] of [
  ["ENOBUFS", Linux.ENOBUFS, true],
  ["ENOMEM", Linux.ENOMEM, true],
  ["EPIPE", 32, true],
  ["EAGAIN", Linux.EAGAIN, false],
  ["EINTR", Linux.EINTR, false],
] as const) {
  const what = isClosed ? "loses its response is closed" : "cannot send yet sends later";
  test(`a connection that ${what}: ${name}`, { skip }, async (t) => {
    const libc = await loadLibc();
    let failing = true;
    let lastFailed = false;
    const own: Libc = {
      ...libc,
      sendRange: (...args) => {
        lastFailed = failing;
        failing = false;
        return lastFailed ? -1 : libc.sendRange(...args);
      },
      errno: () => {
        const faked = lastFailed ? errno : libc.errno();
        lastFailed = false;
        return faked;
      },
    };
    const closed: string[] = [];
    const dial = await listen<Connection>(
      t,
      {
        opened: (connection) => connection,
        received: (connection, bytes, start, end) => {
          for (let at = start; at < end; at++) connection.write(bytes, at, at + 1);
        },
        ended: (connection) => connection.end(false),
        closed: () => closed.push("closed"),
      },
      { own },
    );
    const client = dial();
    let got = "";
    client.on("data", (bytes) => {
      got += bytes;
      if (got.endsWith("2")) client.end();
    });
    client.write("12");
    await once(client, "close");
    assert.equal(got, isClosed ? "" : "12");
    assert.deepEqual(closed, ["closed"]);
  });
}

test("the kernel keeps little for a client that does not read", { skip }, async (t) => {
  const response = new Uint8Array(8 * 1024 * 1024);
  let pending = 0;
  const dial = await listen<Connection>(t, {
    opened: (connection) => connection,
    received(connection) {
      connection.write(response, 0, response.length);
      pending = connection.pending;
      connection.destroy();
    },
  });
  const client = dial();
  client.pause();
  client.write("hello");
  client.on("error", () => {});
  client.resume();
  await once(client, "close");
  assert.ok(response.length - pending < 512 * 1024, `the kernel took ${response.length - pending} bytes`);
});

test("many small writes to a client that does not read copy each byte only a few times", {
  skip,
}, async (t) => {
  const libc = await loadLibc();
  let isFull = true;
  const own: Libc = {
    ...libc,
    sendRange: (...args) => (isFull ? -1 : libc.sendRange(...args)),
    errno: () => (isFull ? Linux.EAGAIN : libc.errno()),
  };
  const piece = new Uint8Array(100).map((_, i) => i);
  const pieces = 1000;
  let copied = 0;
  const dial = await listen<Connection>(
    t,
    {
      opened: (connection) => connection,
      received(connection) {
        const { set } = Uint8Array.prototype;
        const counting = t.mock.method(
          Uint8Array.prototype,
          "set",
          function (this: Uint8Array, from: Uint8Array, at?: number) {
            copied += from.length;
            set.call(this, from, at);
          },
        );
        for (let n = 0; n < pieces; n++) connection.write(piece, 0, piece.length);
        counting.mock.restore();
        assert.equal(connection.pending, pieces * piece.length);
        isFull = false;
        connection.end(false);
      },
    },
    { own },
  );
  const client = dial();
  const chunks: Buffer[] = [];
  client.on("data", (chunk) => chunks.push(chunk));
  client.write("hello");
  await once(client, "close");
  assert.deepEqual(Buffer.concat(chunks), Buffer.concat(new Array(pieces).fill(piece)));
  assert.ok(copied < 5 * pieces * piece.length, `copied ${copied} bytes`);
});
