import type { Config } from "../config/config.ts";
import { mapFrontends } from "../config/frontends.ts";
import type { FrontendUse } from "../frontend/define-frontend.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import { lacksIPv6 } from "../net/bind-all.ts";
import { portableNetwork } from "../net/network.ts";

/** Binds an address and releases it. @returns the address, with the port that the system chose in place of 0 */
type Probe = (address: ListenAddress) => Promise<ListenAddress>;

const probes: Readonly<Record<"tcp" | "udp", Probe>> = {
  async tcp({ host, port }) {
    const handler = { opened() {}, received() {}, ended() {}, closed() {}, drained() {} };
    const listener = await portableNetwork.listenStream({ host, port, handler, onError() {} });
    await listener.close();
    return { host, port: listener.port };
  },
  async udp({ host, port }) {
    const handler = { handleBatch() {}, afterBatch() {} };
    const socket = await portableNetwork.bindDatagram({ host, port, handler, onError() {} });
    await socket.close();
    return { host, port: socket.port };
  },
};

/**
 * Prepares the options of the frontends for several workers. Each frontend completes its options. Then this checks that no other
 * process has the addresses. Workers could not find out, because they share ports (SO_REUSEPORT), and another tracker may
 * share the same port. Ports of 0 are replaced by the port that the system chooses.
 */
export function prepareFrontends(config: Config): Promise<Config> {
  return mapFrontends(config, async ({ definition, options }) => {
    const complete = definition.complete?.(options) ?? options;
    return probeAddresses({ definition, options: complete });
  });
}

async function probeAddresses({ definition: { listens = [] }, options }: FrontendUse): Promise<unknown> {
  const chosen: Record<string, readonly ListenAddress[]> = {};
  for (const { option, transport } of listens) {
    const addresses = (options as Readonly<Record<string, readonly ListenAddress[]>>)[option] ?? [];
    const probe: Probe = (address) =>
      probes[transport](address).catch((error) => {
        if (lacksIPv6(address, error)) return address; // the frontend decides whether IPv6 may be missing
        throw error;
      });
    chosen[option] = await Promise.all(addresses.map(probe));
  }
  return listens.length === 0 ? options : { ...(options as object), ...chosen };
}
