import { openLinuxNetwork } from "../../src/net/linux/network.ts";
import { type Network, portableNetwork } from "../../src/net/network.ts";
import { clientsRequired } from "./clients-required.ts";

/** A network by its name, which a test opens and closes; or the reason why the network cannot run here. */
export interface Engine {
  name: Network["engine"];
  open(): Promise<Network>;
  skip: string | false;
}

/** Both networks. The Linux network is skipped with the reason if it cannot run, unless clients are required. */
export async function listEngines(): Promise<Engine[]> {
  let skip: string | false = false;
  try {
    (await openLinuxNetwork()).close();
  } catch (error) {
    if (clientsRequired) throw error;
    skip = (error as Error).message;
  }
  return [
    { name: "portable", open: () => Promise.resolve(portableNetwork), skip: false },
    { name: "linux", open: openLinuxNetwork, skip },
  ];
}
