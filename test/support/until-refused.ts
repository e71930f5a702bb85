import { once } from "node:events";
import { connect } from "node:net";

/** Waits until no program listens on a port of 127.0.0.1. */
export async function untilRefused(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
    } catch {
      return;
    } finally {
      socket.destroy();
    }
  }
}
