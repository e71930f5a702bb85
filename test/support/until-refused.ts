import { isListening } from "../e2e/ports.ts";

/** Waits until no program listens on a port of 127.0.0.1. */
export async function untilRefused(port: number): Promise<void> {
  while (await isListening(port)) await new Promise((resolve) => setTimeout(resolve, 10));
}
