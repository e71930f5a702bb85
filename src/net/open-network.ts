import { type Network, type NetworkChoice, portableNetwork } from "./network.ts";

/**
 * Opens the network of this thread.
 * @param onFallback  called with the reason why `auto` does not use the native network
 * @param open        marks of the descriptors that the native network has open
 * @throws Error if `linux` is requested and cannot run here
 */
export async function openNetwork(
  choice: NetworkChoice,
  onFallback: (error: Error) => void,
  open?: Uint8Array,
): Promise<Network> {
  if (choice === "portable") return portableNetwork;
  try {
    const { openLinuxNetwork } = await import("./linux/network.ts");
    return await openLinuxNetwork(open);
  } catch (error) {
    if (choice === "linux")
      throw new Error(`the native network engine cannot run: ${(error as Error).message}`, { cause: error });
    onFallback(error as Error);
    return portableNetwork;
  }
}
