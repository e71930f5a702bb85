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

/** Finds a port that is free over TCP and UDP on the loopback addresses, and gives none twice. */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const port = firstPort + next;
    next = (next + 1) % ports;
    if (await isFree(port)) return port;
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
