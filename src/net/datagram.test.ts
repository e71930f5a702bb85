import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { after, afterEach, before, describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { findFreePort } from "../../test/e2e/ports.ts";
import { listEngines } from "../../test/support/networks.ts";
import {
  type DatagramHandler,
  type DatagramSocket,
  datagramCapacity,
  type SendResponse,
} from "./datagram.ts";
import type { Network } from "./network.ts";

let network: Network;

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close();
});

/** Echoes each datagram, at once or later, and records what it received. */
class Echo implements DatagramHandler {
  readonly seen: string[] = [];
  after = 0;
  /** Where set, the ways back of what came. */
  late: SendResponse[] | undefined;

  handleBatch: DatagramHandler["handleBatch"] = (socket, batch, count, family) => {
    for (let slot = 0; slot < count; slot++) {
      if (batch.port[slot] === 0) continue;
      const length = batch.length[slot]!;
      this.seen.push(`IPv${family} ${batch.address[slot]} ${length}`);
      this.late?.push(socket.replyPath(slot));
      if (this.late) continue;
      batch.bytes.copyWithin(batch.outAt(slot), batch.inAt(slot), batch.inAt(slot) + length);
      batch.outLength[slot] = length;
    }
  };
  afterBatch(): void {
    this.after++;
  }
}

async function bind(host: string, port = 0): Promise<{ echo: Echo; socket: DatagramSocket }> {
  const echo = new Echo();
  const socket = await network.bindDatagram({ host, port, handler: echo, onError: assert.fail });
  opened.push(socket);
  return { echo, socket };
}

/** Sends `bytes` from one address to another and waits for the response. */
async function ask(from: string, to: string, port: number, bytes: Uint8Array) {
  const socket = createSocket(to.includes(":") ? "udp6" : "udp4");
  opened.push({ close: () => socket.close() });
  socket.bind(0, from);
  await once(socket, "listening");
  const response = once(socket, "message");
  socket.send(bytes, port, to);
  const [message, remote] = (await response) as [Uint8Array, { address: string; port: number }];
  return {
    message: new Uint8Array(message),
    from: remote.address,
    port: remote.port,
    own: socket.address().port,
  };
}

/** Sends more datagrams in one turn than a receive buffer has room for. @returns their number */
async function flood(port: number): Promise<number> {
  const socket = createSocket("udp4");
  opened.push({ close: () => socket.close() });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const bytes = new Uint8Array(1400);
  for (let i = 0; i < 1000; i++) socket.send(bytes, port, "127.0.0.1");
  return 1000;
}

const hello = new TextEncoder().encode("hello");

for (const { name, open, skip } of await listEngines()) {
  describe(`datagrams of the ${name} engine`, { skip }, () => {
    before(async () => {
      network = await open();
    });
    after(() => network.close());

    test("datagrams that do not fit into the receive buffer are counted", async (t) => {
      const handler = new Echo();
      const options = { host: "127.0.0.1", port: 0, receiveBuffer: 65_536, onError: assert.fail };
      const socket = await network.bindDatagram({ ...options, handler });
      opened.push(socket);
      if (name === "portable") {
        assert.throws(() => socket.countDrops(), /node:dgram does not count them/);
        return;
      }
      assert.equal(socket.countDrops(), 0);
      const sent = await flood(socket.port);
      for (let seen = -1; seen < handler.seen.length; await nextTurn()) seen = handler.seen.length;
      t.diagnostic(`${socket.countDrops()} of ${sent}`);
      assert.ok(socket.countDrops() > 0);
      await socket.close();
      assert.ok(socket.countDrops() > 0, "a closed socket keeps its count");
    });

    for (const [host, from] of [
      ["127.0.0.1", "127.0.0.1"],
      ["127.0.0.2", "127.0.0.1"],
      ["::1", "::1"],
    ] as const) {
      test(`respond from ${host} to a request for ${host}`, async () => {
        const { echo, socket } = await bind(host);
        const response = await ask(from, host, socket.port, hello);
        assert.deepEqual([response.message, response.from, response.port], [hello, host, socket.port]);
        assert.deepEqual(echo.seen, [`IPv${host.includes(":") ? 6 : 4} ${from} 5`]);
        assert.equal(echo.after, 1);
      });
    }

    test("of all addresses arrive whatever address was asked", async () => {
      const four = await bind("0.0.0.0", await findFreePort()); // free for IPv6 too
      for (const to of ["127.0.0.1", "127.0.0.2"]) {
        assert.deepEqual((await ask("127.0.0.1", to, four.socket.port, hello)).message, hello);
      }
      assert.equal((await ask("127.0.0.3", "127.0.0.1", four.socket.port, hello)).from, "127.0.0.1");
      const six = await bind("::", four.socket.port);
      assert.equal((await ask("::1", "::1", six.socket.port, hello)).from, "::1");
    });

    test("of all addresses respond from the address that the request was sent to, on a machine with several", (t) => {
      if (process.platform !== "linux" || process.getuid?.() !== 0) {
        t.skip("needs root on Linux, for a network namespace");
        return;
      }
      if (spawnSync("unshare", ["-n", "ip", "link", "show"]).status !== 0) {
        t.skip("needs unshare and ip, for a network namespace");
        return;
      }
      // Between two addresses of one machine the kernel prefers the client's own as the source of a response.
      const script = `
      import { createSocket } from "node:dgram";
      import { once } from "node:events";
      import { openNetwork } from ${JSON.stringify(new URL("./open-network.ts", import.meta.url).href)};
      const network = await openNetwork("${name}", console.error);
      const handler = {
        handleBatch(socket, batch) {
          if (batch.bytes[0] === "l".charCodeAt()) {
            const send = socket.replyPath(0);
            setImmediate(() => send(new Uint8Array([1, 2, 3]), 1, 2));
            return;
          }
          batch.bytes.copyWithin(batch.outAt(0), 0, batch.length[0]);
          batch.outLength[0] = batch.length[0];
        },
        afterBatch() {},
      };
      for (const [host, own, asked] of [
        ["0.0.0.0", "10.9.8.1", "10.9.8.2"],
        ["::", "fd00::1", "fd00::2"],
        ["::", "fe80::1%one", "fe80::2%one"],
        ["::", "fe80::1%two", "fe80::2%two"],
      ]) {
        const tracker = await network.bindDatagram({ host, port: 0, handler, onError: console.error });
        const client = createSocket(host === "::" ? "udp6" : "udp4");
        client.bind(0, own);
        await once(client, "listening");
        for (const when of ["at once", "later"]) {
          client.send(when, tracker.port, asked);
          console.log(when, (await once(client, "message"))[1].address);
        }
        client.close();
        await tracker.close();
      }
      network.close();`;
      const setUp = [
        "ip link set lo up",
        ...["10.9.8.1/32", "10.9.8.2/32"].map((address) => `ip addr add ${address} dev lo`),
        ...["fd00::1/128", "fd00::2/128"].map((address) => `ip -6 addr add ${address} dev lo nodad`),
        ...["one", "two"].flatMap((link) => [
          `ip link add ${link} type veth peer name ${link}-end`,
          `ip link set ${link} up`,
          `ip link set ${link}-end up`,
          ...["fe80::1/64", "fe80::2/64"].map((address) => `ip -6 addr add ${address} dev ${link} nodad`),
        ]),
        'exec "$0" --input-type=module-typescript -e "$1"',
      ].join(" && ");
      const output = execFileSync("unshare", ["-n", "sh", "-c", setUp, process.execPath, script], {
        encoding: "utf8",
      });
      assert.deepEqual(
        output.trim().split("\n"),
        ["10.9.8.2", "fd00::2", "fe80::2%one", "fe80::2%two"].flatMap((asked) => [
          `at once ${asked}`,
          `later ${asked}`,
        ]),
      );
    });

    test("longer than the capacity are cut, empty ones arrive", async () => {
      const { echo, socket } = await bind("127.0.0.1");
      const long = new Uint8Array(datagramCapacity + 100).fill(7);
      const response = await ask("127.0.0.1", "127.0.0.1", socket.port, long);
      assert.deepEqual(response.message, long.subarray(0, datagramCapacity));
      const client = createSocket("udp4");
      opened.push({ close: () => client.close() });
      client.send(new Uint8Array(0), socket.port, "127.0.0.1");
      await ask("127.0.0.1", "127.0.0.1", socket.port, hello);
      assert.deepEqual(echo.seen.slice(1), ["IPv4 127.0.0.1 0", "IPv4 127.0.0.1 5"]);
    });

    test("get responses of their own, even if many arrive at once", async () => {
      const { socket } = await bind("127.0.0.1");
      const client = createSocket("udp4");
      opened.push({ close: () => client.close() });
      client.bind(0, "127.0.0.1");
      await once(client, "listening");
      const responses: number[] = [];
      const all = new Promise<void>((resolve) => {
        client.on("message", (message) => {
          responses.push(message.readUInt32BE(0));
          if (responses.length === 64) resolve();
        });
      });
      for (let i = 0; i < 64; i++) {
        const bytes = Buffer.alloc(500);
        bytes.writeUInt32BE(i);
        client.send(bytes, socket.port, "127.0.0.1");
      }
      await all;
      assert.deepEqual(
        responses,
        Array.from({ length: 64 }, (_, i) => i),
      );
    });

    test("can get their responses later, in any order, but not after the close", async () => {
      const { echo, socket } = await bind("127.0.0.1");
      echo.late = [];
      const bytes = new TextEncoder().encode("..later..");
      const clients: Socket[] = [];
      for (let i = 0; i < 3; i++) {
        const client = createSocket("udp4");
        opened.push({ close: () => client.close() });
        client.send(hello, socket.port, "127.0.0.1");
        while (echo.late.length <= i) await nextTurn();
        clients.push(client);
      }
      for (const i of [2, 0, 1]) {
        const received = once(clients[i]!, "message");
        bytes[2] = 0x30 + i;
        echo.late[i]!(bytes, 2, 7);
        bytes.fill(0, 2, 3);
        const [message, remote] = await received;
        assert.deepEqual([`${message}`, remote.address, remote.port], [`${i}ater`, "127.0.0.1", socket.port]);
      }
      await socket.close();
      echo.late[0]!(bytes, 0, 1);
    });

    test("of vanished clients do no harm", async () => {
      const { echo, socket } = await bind("127.0.0.1");
      echo.late = [];
      const client = createSocket("udp4");
      client.send(hello, socket.port, "127.0.0.1");
      while (echo.late.length === 0) await nextTurn();
      await new Promise<void>((resolve) => {
        client.close(resolve);
      });
      for (let i = 0; i < 3; i++) echo.late[0]!(hello, 0, 5);
      echo.late = undefined;
      assert.deepEqual((await ask("127.0.0.1", "127.0.0.1", socket.port, hello)).message, hello);
    });

    test("from the bound address and port itself get no response, neither at once nor later", async () => {
      const lengths: number[] = [];
      const late: SendResponse[] = [];
      const handler: DatagramHandler = {
        handleBatch(socket, batch, count) {
          for (let slot = 0; slot < count; slot++) {
            lengths.push(batch.length[slot]!);
            late.push(socket.replyPath(slot));
          }
        },
        afterBatch() {},
      };
      // A more general binding of the same port, which can send in the name of the more specific one.
      const self = createSocket({ type: "udp4", reusePort: true });
      opened.push({ close: () => self.close() });
      self.bind(0, "0.0.0.0");
      await once(self, "listening");
      const { port } = self.address();
      const socket = await network.bindDatagram({
        host: "127.0.0.1",
        port,
        threads: 2,
        handler,
        onError: assert.fail,
      });
      opened.push(socket);
      self.send(hello, port, "127.0.0.1");
      const other = createSocket("udp4");
      opened.push({ close: () => other.close() });
      for (const bytes of [hello.subarray(1), hello.subarray(2)]) {
        const response = once(other, "message");
        other.send(bytes, port, "127.0.0.1");
        while (lengths.at(-1) !== bytes.length) await nextTurn();
        for (const send of late.splice(0)) send(hello, 0, 1);
        await response;
      }
      assert.deepEqual(
        lengths.filter((length) => length < 5),
        [4, 3],
      );
    });

    for (const [first, second] of [
      ["127.0.0.1", "127.0.0.1"],
      ["0.0.0.0", "0.0.0.0"],
      ["0.0.0.0", "127.0.0.1"],
      ["127.0.0.1", "0.0.0.0"],
      ["::", "::"],
      ["::", "::1"],
    ] as const) {
      test(`cannot be had on ${second} while another tracker has ${first}`, async () => {
        const { socket } = await bind(first);
        const host = second.includes(":") ? `\\[${second}\\]` : second;
        await assert.rejects(bind(second, socket.port), {
          message: new RegExp(`^cannot listen on udp://${host}:${socket.port}: .*in use`),
        });
      });
    }

    test("the receive buffer is as big as was asked, or what the system grants", async () => {
      const handler = new Echo();
      const open = (receiveBuffer: number) =>
        network.bindDatagram({ host: "127.0.0.1", port: 0, receiveBuffer, handler, onError: assert.fail });
      const small = await open(65_536);
      opened.push(small);
      assert.equal(small.receiveBuffer, 65_536);
      const huge = await open(2 ** 30);
      opened.push(huge);
      assert.ok(huge.receiveBuffer >= 65_536 && huge.receiveBuffer < 2 ** 30, `${huge.receiveBuffer}`);
    });

    test("a closed port is free again, and closing twice is once", async () => {
      const { socket } = await bind("0.0.0.0", await findFreePort());
      await Promise.all([socket.close(), socket.close()]);
      await socket.close();
      assert.equal((await bind("0.0.0.0", socket.port)).socket.port, socket.port);
    });

    test("an address of another machine is refused with its name", async () => {
      await assert.rejects(
        bind("203.0.113.1"),
        /cannot listen on udp:\/\/203\.0\.113\.1:0: .*does not have that address/,
      );
    });
  });
}
