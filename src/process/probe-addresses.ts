import type { Config } from "../config/config.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import { lacksIPv6 } from "../net/bind-all.ts";
import { portableNetwork } from "../net/network.ts";

/**
 * Makes sure that nobody else has the addresses, which workers could not tell: sockets that share a port also
 * share it with another tracker that shares it. Ports that the system chooses are chosen here.
 */
export async function probeAddresses(config: Config): Promise<Config> {
  const onError = () => undefined;
  const claimUdp = async ({ host, port }: ListenAddress): Promise<ListenAddress> => {
    const handler = { handleBatch() {}, afterBatch() {} };
    const socket = await portableNetwork.bindDatagram({ host, port, handler, onError });
    await socket.close();
    return { host, port: socket.port };
  };
  const claimTcp = async ({ host, port }: ListenAddress): Promise<ListenAddress> => {
    const handler = { opened() {}, received() {}, ended() {}, closed() {}, drained() {} };
    const listener = await portableNetwork.listenStream({ host, port, handler, onError });
    await listener.close();
    return { host, port: listener.port };
  };
  const claimAll = (addresses: readonly ListenAddress[], claim: typeof claimUdp) =>
    Promise.all(
      addresses.map((address) =>
        claim(address).catch((error) => {
          if (lacksIPv6(address, error)) return address; // whether it may be missing is for the frontends
          throw error;
        }),
      ),
    );
  const { http, udp } = config;
  return {
    ...config,
    http: http && {
      ...http,
      listen: await claimAll(http.listen, claimTcp),
      listenTls: await claimAll(http.listenTls, claimTcp),
    },
    udp: udp && { ...udp, listen: await claimAll(udp.listen, claimUdp) },
  };
}
