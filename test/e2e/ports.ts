import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";

/** Whether this machine has IPv6 on its loopback interface. */
export function hasIPv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ address }) => address === "::1"),
  );
}

const taken = new Set<number>();

/** Finds a port that is free over TCP and UDP on the loopback addresses, and gives none twice. */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, "close");
    if (!taken.has(port) && (await isFree(port))) {
      taken.add(port);
      return port;
    }
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
