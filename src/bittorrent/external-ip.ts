import { Address, type Family } from "../ip/address.ts";
import { Networks } from "../ip/networks.ts";

/** What `external_ip` says: an address for each family, and the networks in whose place it stands. */
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

/** Replaces addresses that only the tracker's own network can reach by the one that the world reaches it by. */
export class ExternalIp {
  readonly #ipv4: Address | undefined;
  readonly #ipv6: Address | undefined;
  readonly #networks: Networks;

  /** @throws RangeError for an address or a network that is none, and for an address at which nobody can be reached */
  constructor({ ipv4, ipv6, networks = localNetworks }: ExternalIpOptions) {
    this.#ipv4 = parse(ipv4, 4);
    this.#ipv6 = parse(ipv6, 6);
    this.#networks = Networks.parse(networks);
  }

  /** Replaces an address that is in the networks, where its family has an external one. Never allocates. */
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
