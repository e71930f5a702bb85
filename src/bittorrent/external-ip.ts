import { Address, type Family } from "../ip/address.ts";
import { Networks } from "../ip/networks.ts";

/** The option `external_ip`: an address for each family, and the networks whose addresses it replaces. */
export interface ExternalIpOptions {
  ipv4?: string | undefined;
  ipv6?: string | undefined;
  /** In CIDR notation. */
  networks?: readonly string[];
}

/** Loopback, private (RFC 1918), link-local and unique local addresses. */
export const localNetworks: readonly string[] = [
  "127.0.0.0/8",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "169.254.0.0/16",
  "::1/128",
  "fc00::/7",
  "fe80::/10",
];

/** Replaces addresses of the tracker's own network by the address that peers elsewhere can reach. */
export class ExternalIp {
  readonly #ipv4: Address | undefined;
  readonly #ipv6: Address | undefined;
  readonly #networks: Networks;

  /** @throws RangeError if a text is not an address or a network, or peers cannot reach the address */
  constructor({ ipv4, ipv6, networks = localNetworks }: ExternalIpOptions) {
    this.#ipv4 = parse(ipv4, 4);
    this.#ipv6 = parse(ipv6, 6);
    this.#networks = Networks.parse(networks);
  }

  /** Replaces an address inside the networks, if there is an external address of its family. Never allocates. */
  replace(address: Address): void {
    const external = address.family === 4 ? this.#ipv4 : this.#ipv6;
    if (external !== undefined && this.#networks.contains(address)) address.copyFrom(external);
  }
}

function parse(text: string | undefined, family: Family): Address | undefined {
  if (text === undefined) return undefined;
  const address = Address.parse(text);
  if (address.family === family && address.isUsable()) return address;
  throw new RangeError(`not an IPv${family} address at which peers can be reached: ${JSON.stringify(text)}`);
}
