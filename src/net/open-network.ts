import type { NetworkMemory } from "./linux/network.ts";
import { type Network, type NetworkChoice, portableNetwork } from "./network.ts";

/**
 * Opens the network of this thread.
 * @param onFallback  called with the reason why `auto` does not use the native network
 * @param memory      of a worker thread, for the native network
 * @throws Error if `linux` is requested and cannot run here
 */
export async function openNetwork(
  choice: NetworkChoice,
  onFallback: (error: Error) => void,
  memory?: NetworkMemory,
): Promise<Network> {
  if (choice === "portable") return portableNetwork;
  try {
    const { openLinuxNetwork } = await import("./linux/network.ts");
    return await openLinuxNetwork(memory);
  } catch (error) {
    if (choice === "linux")
      throw new Error(`the native network engine cannot run: ${(error as Error).message}`, { cause: error });
    onFallback(error as Error);
    return portableNetwork;
  }
}
