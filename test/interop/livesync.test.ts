/** Live sync between processes: over IPv6, and with several workers. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { promisify } from "node:util";
import { findFreePort } from "../e2e/ports.ts";
import { announceQuery, RawClient } from "../fixtures/http-server.ts";
import { adminTokens, askAt } from "../support/admin-server.ts";
import { Daemon } from "../support/daemon.ts";

const run = promisify(execFile);
/** Makes a network namespace with an interface that does multicast, and runs a program in it. */
const inNamespace = (program: string) => [
  ...["-n", "sh", "-c"],
  `ip link set lo up && ip tuntap add t0 mode tap && ip link set t0 up && ip -6 addr add fd00::1/64 dev t0 nodad && ${program}`,
];
const skip = await run("unshare", inNamespace("true")).then(
  () => false as const,
  (error: Error) => `no network namespaces here: ${error.message.split("\n")[1] ?? error.message}`,
);

test("a group of IPv6 carries peers", { skip }, async () => {
  const program = `exec ${process.execPath} test/fixtures/livesync-ipv6.ts t0`;
  const { stdout } = await run("unshare", inNamespace(program));
  assert.partialDeepStrictEqual(JSON.parse(stdout), { seeders: 1, leechers: 0, peers4: 1 });
});

test("all workers send, and one receives", async (t) => {
  const livesync = {
    group: `239.255.69.70:${await findFreePort()}`,
    interface: "127.0.0.1",
    nodes: ["127.0.0.1"],
  };
  const settings = { workers: 2, storage: { name: "memory" }, http: { opentracker: { livesync } } };
  const [first, second] = await Promise.all([Daemon.start(t, settings), Daemon.start(t, settings)]);
  for (let port = 1; port <= 40; port++) {
    const client = new RawClient(t, first.port("http")); // the kernel chooses the worker
    await client.get(`/announce?${announceQuery({ port: `${port}` })}`);
    client.socket.destroy();
  }
  await first.signal("SIGTERM", "stopped"); // sends what waits
  const stats = async (mode: string) => (await fetch(`${second.url("http")}/stats?mode=${mode}`)).text();
  while (!(await stats("peer")).startsWith("40\n"));
  while (!(await stats("syncs")).startsWith("40\n")); // a busy worker's counts can be late
  assert.match(await stats("syncs"), /^40\n0\n/, "each peer once");
});

test("a ban by the admin API holds for peers of live sync", async (t) => {
  const port = await findFreePort();
  const livesync = { group: `239.255.69.71:${port}`, interface: "127.0.0.1", nodes: ["127.0.0.1"] };
  const daemon = await Daemon.start(t, {
    admin: { tokens: adminTokens },
    http: { opentracker: { livesync } },
  });
  const { url } = await daemon.until(({ msg }) => msg.endsWith("admin API"));
  const ask = askAt(url!);
  assert.equal((await ask("PUT", "/bans/192.0.2.0%2F25", {})).status, 200);
  assert.equal((await ask("PUT", `/torrents/${"44".repeat(20)}/ban`, {})).status, 200);
  const peer = (torrent: string, address: string) => `${torrent.repeat(20)}${address}c8d58000`;
  const banned = [peer("43", "c0000207"), peer("44", "c6336407")];
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.setMulticastInterface("127.0.0.1");
  const records = [...banned, peer("43", "c6336407")].join("");
  socket.send(Buffer.from(`0000000100000000${records}`, "hex"), port, "239.255.69.71");
  const stats = async (mode: string) => (await fetch(`${daemon.url("http")}/stats?mode=${mode}`)).text();
  while (!(await stats("syncs")).startsWith("1\n"));
  assert.match(await stats("peer"), /^1\n1\n/);
});
