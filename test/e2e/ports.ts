import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";

/** Whether this machine has IPv6 on its loopback interface. */
export function hasIPv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ address }) => address === "::1"),
  );
}

/**
 * Ports below those that the system gives out by itself (from 32,768 on), which anybody's outgoing connection may take
 * before the program that a port was found for; ten thousand further they still are, where a cluster has its bus.
 */
const firstPort = 12_000;
const ports = 10_000;
/** Test processes that run at once begin apart. */
let next = (process.pid * 101) % ports;

/**
 * Finds a port that is free over TCP and UDP on the loopback addresses. No other call returns the port while this process runs, in
 * no process of the machine.
 */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const port = firstPort + next;
    next = (next + 1) % ports;
    if ((await claim(port)) && (await isFree(port))) return port;
  }
}

/** Claims a port until the end of this process, by a socket whose name no two processes of Linux can have. */
async function claim(port: number): Promise<boolean> {
  if (process.platform !== "linux") return true;
  try {
    await once(createServer().unref().listen(`\0chihaya-test-port-${port}`), "listening");
    return true;
  } catch {
    return false;
  }
}

async function isFree(port: number): Promise<boolean> {
  const hosts = hasIPv6() ? ["127.0.0.1", "::1"] : ["127.0.0.1"];
  for (const host of hosts) {
    const socket = createSocket(host === "::1" ? "udp6" : "udp4");
    const server = createServer();
    try {
      await once(socket.bind(port, host), "listening");
      await once(server.listen(port, host), "listening");
    } catch {
      return false;
    } finally {
      socket.close();
      server.close();
    }
  }
  return true;
}

/** Whether a program listens on a TCP port of 127.0.0.1. */
export async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
