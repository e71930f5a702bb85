import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { after, before, describe, type TestContext, test } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { findFreePort } from "../../test/e2e/ports.ts";
import { certificates } from "../../test/fixtures/certificates.ts";
import { listEngines } from "../../test/support/networks.ts";
import type { Network } from "./network.ts";
import type { Connection, StreamHandler, StreamListener } from "./stream.ts";

/** The calls of a handler for one connection, in order. */
interface Seen {
  connection: Connection;
  events: string[];
}

/** A handler that records its calls. Tests wait for the next entry. */
class Recorder implements StreamHandler<Seen> {
  readonly all: Seen[] = [];
  #wake: (() => void)[] = [];

  opened(connection: Connection): Seen {
    const seen = { connection, events: [] };
    this.all.push(seen);
    this.note(seen, "opened");
    return seen;
  }
  received(seen: Seen, bytes: Uint8Array, start: number, end: number): void {
    this.note(seen, Buffer.from(bytes.subarray(start, end)).toString("latin1"));
  }
  ended(seen: Seen): void {
    this.note(seen, "ended");
  }
  closed(seen: Seen): void {
    this.note(seen, "closed");
  }
  drained(seen: Seen): void {
    this.note(seen, "drained");
  }
  note(seen: Seen, event: string): void {
    seen.events.push(event);
    for (const wake of this.#wake.splice(0)) wake();
  }
  /** Resolves when connection `index` has seen `event`. */
  async until(event: string, index = 0): Promise<Seen> {
    for (;;) {
      const seen = this.all[index];
      if (seen?.events.includes(event)) return seen;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }
}

const fail = (error: Error) => assert.fail(error);

let network: Network;

async function listen(t: TestContext, host = "127.0.0.1", port = 0): Promise<[Recorder, StreamListener]> {
  const handler = new Recorder();
  const listener = await network.listenStream({ host, port, handler, onError: fail });
  t.after(async () => {
    await listener.close();
    for (const { connection } of handler.all) connection.destroy();
  });
  return [handler, listener];
}

function dial(t: TestContext, host: string, port: number, localAddress?: string): Socket {
  const socket = connect({ host, port, allowHalfOpen: true, ...(localAddress && { localAddress }) });
  socket.on("error", () => {});
  t.after(() => socket.destroy());
  return socket;
}

/** A client that says "hi" first: an engine need not show a connection that has sent nothing. */
function greet(t: TestContext, port: number): Socket {
  const client = dial(t, "127.0.0.1", port);
  client.write("hi");
  return client;
}

const echo = `
  const { openNetwork } = await import(process.argv[1]);
  const network = await openNetwork(process.argv[2], () => {});
  const open = new Set();
  const handler = {
    opened: (connection) => {
      open.add(connection);
      return connection;
    },
    received: (connection, bytes, start, end) => connection.write(bytes, start, end),
    ended: (connection) => connection.end(false),
    drained() {},
    closed: (connection) => void open.delete(connection),
  };
  if (process.argv[3] === "oldest") {
    handler.makeRoom = () => {
      const oldest = open.values().next().value;
      oldest?.destroy(true);
      return oldest !== undefined;
    };
  }
  const options = { host: "127.0.0.1", port: 0, handler, onError() {} };
  console.log((await network.listenStream(options)).port);
`;

/**
 * Starts a process with 64 descriptors that echoes what it gets; returns its port.
 * @param goes  whether the `oldest` connection goes when there are no descriptors left
 */
async function listenWithFewDescriptors(
  t: TestContext,
  engine: string,
  goes = "none",
): Promise<{ port: number; child: ChildProcess }> {
  const limited = ["-c", 'ulimit -n 64 && exec "$0" "$@"', process.execPath];
  const script = [
    "--input-type=module",
    "-e",
    echo,
    new URL("open-network.ts", import.meta.url).href,
    engine,
    goes,
  ];
  const child = spawn("sh", [...limited, ...script], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill());
  const [line] = await once(child.stdout, "data");
  return { port: Number(line), child };
}

async function readAll(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket) text += (chunk as Buffer).toString("latin1");
  return text;
}

const send = (connection: Connection, text: string) =>
  connection.write(Buffer.from(text, "latin1"), 0, text.length);

for (const { name, open, skip } of await listEngines()) {
  describe(`streams of the ${name} engine`, { skip }, () => {
    before(async () => {
      network = await open();
    });
    after(() => network.close());

    for (const host of ["127.0.0.1", "::1"]) {
      test(`a client on ${host} gets its response after it has shut down its sending side`, async (t) => {
        const [handler, listener] = await listen(t, host);
        const client = dial(t, host, listener.port);
        client.end("ping");
        const { connection, events } = await handler.until("ended");
        assert.deepEqual(events, ["opened", "ping", "ended"]);
        assert.equal(connection.remote.toString(), host);
        assert.equal(connection.remotePort, client.localPort);
        send(connection, "pong");
        connection.end(false);
        assert.equal(await readAll(client), "pong");
        await handler.until("closed");
      });
    }

    test("bytes are copied when they are written", async (t) => {
      const [handler, listener] = await listen(t);
      const client = greet(t, listener.port);
      const { connection } = await handler.until("hi");
      const bytes = Buffer.alloc(8 << 20, "a");
      connection.write(bytes, 0, bytes.length);
      assert.ok(connection.pending > 0, "the kernel cannot have taken all of it");
      bytes.fill("b");
      connection.end(true);
      const text = await readAll(client);
      assert.equal(text.length, bytes.length);
      assert.ok(!text.includes("b"));
      const { events } = await handler.until("opened");
      assert.ok(!events.includes("closed"));
    });

    for (const length of [200, 8 << 20]) {
      test(`a last write of ${length} bytes arrives whole, and the end after it`, async (t) => {
        const [handler, listener] = await listen(t);
        const client = greet(t, listener.port);
        const { connection } = await handler.until("hi");
        connection.write(Buffer.alloc(length, "a"), 0, length, true);
        connection.end(false);
        assert.equal((await readAll(client)).length, length);
        client.end();
        await handler.until("closed");
      });
    }

    test("each connection tells its own address, whichever have come and gone before it", async (t) => {
      const [handler, listener] = await listen(t);
      for (const [index, host] of ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"].entries()) {
        const client = dial(t, "127.0.0.1", listener.port, host);
        client.write("hi");
        const { connection } = await handler.until("hi", index);
        assert.equal(connection.remote.toString(), host);
        if (index % 2 === 1) continue;
        client.resetAndDestroy();
        await handler.until("closed", index);
      }
      assert.equal(handler.all[1]!.connection.remote.toString(), "127.0.0.3");
    });

    test("drained is called once the kernel has taken all pending bytes, and not without pending bytes", async (t) => {
      const [handler, listener] = await listen(t);
      const client = greet(t, listener.port);
      const { connection, events } = await handler.until("hi");
      send(connection, "small");
      assert.equal(connection.pending, 0);
      await once(client, "data");
      assert.deepEqual(events, ["opened", "hi"]);
      const bytes = Buffer.alloc(8 << 20);
      connection.write(bytes, 0, bytes.length);
      client.resume();
      await handler.until("drained");
      assert.equal(connection.pending, 0);
      assert.deepEqual(events, ["opened", "hi", "drained"]);
    });

    test("a paused connection receives nothing until it is resumed", async (t) => {
      const [handler, listener] = await listen(t);
      const client = greet(t, listener.port);
      const { connection, events } = await handler.until("hi");
      connection.pause();
      client.write("one");
      // What a second connection says later arrives, so the first one's bytes have been passed over.
      dial(t, "127.0.0.1", listener.port).write("two");
      await handler.until("two", 1);
      assert.deepEqual(events, ["opened", "hi"]);
      connection.resume();
      await handler.until("one");
    });

    test("a reset from either side ends a connection quietly", async (t) => {
      const [handler, listener] = await listen(t);
      const client = greet(t, listener.port);
      await handler.until("hi");
      client.resetAndDestroy();
      const seen = await handler.until("closed");
      send(seen.connection, "too late");
      seen.connection.end(false);

      const second = greet(t, listener.port);
      const error = once(second, "error");
      (await handler.until("hi", 1)).connection.destroy(true);
      assert.equal(((await error)[0] as NodeJS.ErrnoException).code, "ECONNRESET");
    });

    test("a reset after the end, while the response is awaited, is the end only once", async (t) => {
      const [handler, listener] = await listen(t);
      const client = dial(t, "127.0.0.1", listener.port);
      client.end("hi");
      const { connection, events } = await handler.until("ended");
      client.resetAndDestroy();
      await once(client, "close");
      greet(t, listener.port); // the reset has been seen when this has
      await handler.until("hi", 1);
      send(connection, "too late"); // a network that has stopped reading notices the end here
      greet(t, listener.port);
      await handler.until("hi", 2);
      assert.deepEqual(events, ["opened", "hi", "ended", "closed"]);
    });

    test("a handler may close a connection while it is being opened", async (t) => {
      class Choosy extends Recorder {
        override opened(connection: Connection): Seen {
          if (this.all.length > 0) connection.destroy();
          return super.opened(connection);
        }
      }
      const handler = new Choosy();
      const listener = await network.listenStream({ host: "127.0.0.1", port: 0, handler, onError: fail });
      t.after(() => listener.close());
      const first = greet(t, listener.port);
      const { connection } = await handler.until("hi");
      greet(t, listener.port);
      const { events } = await handler.until("closed", 1);
      assert.deepEqual(events, ["opened", "closed"]);
      send(connection, "still here");
      assert.equal(String((await once(first, "data"))[0]), "still here");
      connection.destroy();
    });

    test("close releases the port at once and leaves open connections alone", async (t) => {
      const [handler, listener] = await listen(t, "127.0.0.1", await findFreePort());
      const client = greet(t, listener.port);
      const { connection } = await handler.until("hi");
      await listener.close();
      await listener.close();
      const again = await network.listenStream({
        host: "127.0.0.1",
        port: listener.port,
        handler,
        onError: fail,
      });
      await again.close();
      send(connection, "still here");
      connection.end(false);
      client.end();
      assert.equal(await readAll(client), "still here");
    });

    test("without descriptors left, connections wait or go, and later ones are served again", async (t) => {
      const { port, child } = await listenWithFewDescriptors(t, name);
      const many = Array.from({ length: 100 }, () => greet(t, port));
      await Promise.all(many.map((client) => once(client, "connect")));
      await Promise.any(many.map((client) => once(client, "data")));
      for (const client of many) client.destroy();
      for (;;) {
        const client = greet(t, port);
        const data = once(client, "data").then(
          () => true,
          () => false,
        );
        // As long as the others are not gone yet, it may be closed without a response. If that is before it has sent anything,
        // it sees only the end.
        const closed = new Promise<boolean>((resolve) => {
          for (const event of ["end", "close"]) client.once(event, () => resolve(false));
        });
        if (await Promise.race([data, closed])) break;
        assert.equal(child.exitCode, null);
      }
    });

    test("without descriptors left, a handler is asked to make room", async (t) => {
      if (name === "portable") {
        t.skip("libuv closes the connection that waits");
        return;
      }
      const { port } = await listenWithFewDescriptors(t, name, "oldest");
      const many: Socket[] = [];
      for (let i = 0; i < 100; i++) {
        const client = greet(t, port);
        many.push(client);
        await once(client, "data");
      }
      assert.ok(many[0]!.destroyed || many[0]!.readableEnded || many[0]!.errored);
      many[99]!.write("still here");
      assert.equal(String((await once(many[99]!, "data"))[0]), "still here");
    });

    test("0.0.0.0 and :: can be bound to one port", async (t) => {
      const [, four] = await listen(t, "0.0.0.0", await findFreePort());
      const handler = new Recorder();
      const six = await network.listenStream({ host: "::", port: four.port, handler, onError: fail });
      await six.close();
    });

    test("an address that cannot be bound is named together with a remedy", async (t) => {
      const taken = createServer().listen(0, "127.0.0.1");
      await once(taken, "listening");
      t.after(() => taken.close());
      const { port } = taken.address() as { port: number };
      const handler = new Recorder();
      await assert.rejects(
        network.listenStream({ host: "127.0.0.1", port, handler, onError: fail }),
        (error: Error) => {
          assert.equal(
            error.message,
            `cannot listen on http://127.0.0.1:${port}: the address is in use; stop the program that listens there, or choose another port`,
          );
          assert.equal((error.cause as NodeJS.ErrnoException).code, "EADDRINUSE");
          return true;
        },
      );
      await assert.rejects(network.listenStream({ host: "192.0.2.1", port: 0, handler, onError: fail }), {
        message: /^cannot listen on http:\/\/192\.0\.2\.1:0: this machine does not have that address/,
      });
    });

    test("TLS 1.2 is the oldest that is spoken, and a new certificate serves new connections", async (t) => {
      const handler = new Recorder();
      const [first, second] = certificates;
      const listener = await network.listenStream({
        host: "127.0.0.1",
        port: 0,
        tls: first,
        handler,
        onError: fail,
      });
      t.after(async () => {
        await listener.close();
        for (const { connection } of handler.all) connection.destroy();
      });
      const dialTls = (options: object): TLSSocket => {
        const socket = connectTls({
          host: "127.0.0.1",
          port: listener.port,
          rejectUnauthorized: false,
          ...options,
        });
        t.after(() => socket.destroy());
        return socket;
      };

      const client = dialTls({ maxVersion: "TLSv1.2" });
      await once(client, "secureConnect");
      assert.equal(client.getPeerCertificate().subject.CN, "first.test");
      client.write("ping");
      const { connection } = await handler.until("ping");
      send(connection, "pong");
      assert.ok(connection.pending > 0, "it is being encrypted");
      assert.equal(String((await once(client, "data"))[0]), "pong");
      await handler.until("drained"); // however little was pending
      assert.equal(connection.pending, 0);

      const old = dialTls({ minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" });
      await once(old, "error");

      assert.throws(() => listener.prepareTls({ cert: "nonsense", key: first.key }));
      listener.prepareTls(second)();
      const later = dialTls({});
      await once(later, "secureConnect");
      assert.equal(later.getPeerCertificate().subject.CN, "second.test");
      connection.destroy(true);
      await handler.until("closed");
    });

    test("what is no TLS is closed without a word to the handler", async (t) => {
      const handler = new Recorder();
      const listener = await network.listenStream({
        host: "127.0.0.1",
        port: 0,
        tls: certificates[0],
        handler,
        onError: fail,
      });
      t.after(() => listener.close());
      const client = dial(t, "127.0.0.1", listener.port);
      client.write("GET / HTTP/1.1\r\n\r\n");
      await readAll(client).catch(() => {});
      const silent = dial(t, "127.0.0.1", listener.port);
      await once(silent, "connect");
      await listener.close();
      await readAll(silent).catch(() => {});
      assert.equal(handler.all.length, 0);
    });
  });
}
