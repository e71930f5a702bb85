import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { listEngines } from "../../../test/support/networks.ts";
import type { Connection } from "../stream.ts";
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

test("a connection that cannot be polled is closed, and the others continue", { skip }, async (t) => {
  const libc = await loadLibc();
  let full = false;
  const own: Libc = {
    ...libc,
    epoll_ctl: (epoll, operation, fd, event) =>
      libc.epoll_ctl(epoll, operation, full && operation === Linux.EPOLL_CTL_ADD ? -1 : fd, event),
  };
  const poller = new Poller(own, await EventLoop.open(libc));
  const errors: string[] = [];
  const log: string[] = [];
  let opened = 0;
  const listener = listenStream(poller, {
    host: "127.0.0.1",
    port: 0,
    onError: ({ message }) => errors.push(message),
    handler: {
      opened: (connection) => ({ connection, name: ++opened }),
      received: ({ connection }: State, bytes, start, end) => connection.write(bytes, start, end),
      ended: ({ connection }) => connection.end(false),
      closed: ({ name }) => log.push(`${name} closed`),
      drained() {},
    },
  });
  const clients: Socket[] = [];
  t.after(async () => {
    for (const client of clients) client.destroy();
    await listener.close();
    poller.close();
  });
  const dial = () => {
    const client = connect(listener.port, "127.0.0.1");
    clients.push(client);
    return client;
  };
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
    const poller = new Poller(own, await EventLoop.open(libc));
    const closed: string[] = [];
    const listener = listenStream(poller, {
      host: "127.0.0.1",
      port: 0,
      onError: assert.fail,
      handler: {
        opened: (connection): Connection => connection,
        received: (connection, bytes, start, end) => {
          for (let at = start; at < end; at++) connection.write(bytes, at, at + 1);
        },
        ended: (connection) => connection.end(false),
        closed: () => closed.push("closed"),
        drained() {},
      },
    });
    const client = connect(listener.port, "127.0.0.1");
    t.after(async () => {
      client.destroy();
      await listener.close();
      poller.close();
    });
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
  const libc = await loadLibc();
  const poller = new Poller(libc, await EventLoop.open(libc));
  const response = new Uint8Array(8 * 1024 * 1024);
  let pending = 0;
  const listener = listenStream(poller, {
    host: "127.0.0.1",
    port: 0,
    onError: assert.fail,
    handler: {
      opened: (connection): Connection => connection,
      received(connection) {
        connection.write(response, 0, response.length);
        pending = connection.pending;
        connection.destroy();
      },
      ended() {},
      closed() {},
      drained() {},
    },
  });
  const client = connect(listener.port, "127.0.0.1");
  t.after(async () => {
    client.destroy();
    await listener.close();
    poller.close();
  });
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
  const poller = new Poller(own, await EventLoop.open(libc));
  const piece = new Uint8Array(100).map((_, i) => i);
  const pieces = 1000;
  let copied = 0;
  const listener = listenStream(poller, {
    host: "127.0.0.1",
    port: 0,
    onError: assert.fail,
    handler: {
      opened: (connection): Connection => connection,
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
      ended() {},
      closed() {},
      drained() {},
    },
  });
  const client = connect(listener.port, "127.0.0.1");
  t.after(async () => {
    client.destroy();
    await listener.close();
    poller.close();
  });
  const chunks: Buffer[] = [];
  client.on("data", (chunk) => chunks.push(chunk));
  client.write("hello");
  await once(client, "close");
  assert.deepEqual(Buffer.concat(chunks), Buffer.concat(new Array(pieces).fill(piece)));
  assert.ok(copied < 5 * pieces * piece.length, `copied ${copied} bytes`);
});
