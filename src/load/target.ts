import { lookup } from "node:dns/promises";
import { Address } from "../ip/address.ts";
import { Networks } from "../ip/networks.ts";
import { withoutBrackets } from "../lib/brackets.ts";

/** The tracker that a load is sent to. */
export interface Target {
  protocol: "udp" | "http" | "ws";
  /** IP address. */
  host: string;
  port: number;
  /** Path and query. */
  path: string;
}

/** Loopback, private and link-local networks (RFC 1918, RFC 4193, RFC 3927). */
const privateNetworks = Networks.parse([
  "127.0.0.0/8",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "169.254.0.0/16",
  "::1",
  "fc00::/7",
  "fe80::/10",
]);

/**
 * Resolves the URL of a tracker. Refuses public addresses, so that the load generator cannot attack other people's trackers.
 * @throws Error (the promise rejects) with the reason why the URL cannot be used
 */
export async function resolveTarget(text: string): Promise<Target> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const protocol = (["udp", "http", "ws"] as const).find((each) => url?.protocol === `${each}:`);
  if (url === undefined || protocol === undefined) {
    throw new Error(`${text}: not a URL with udp:, http: or ws:`);
  }
  if (url.protocol === "udp:" && url.port === "") throw new Error(`${text}: has no port`);
  const name = withoutBrackets(url.hostname);
  const { address: host } = await lookup(name).catch((cause) => {
    throw new Error(`${name} has no address`, { cause });
  });
  if (!privateNetworks.contains(Address.parse(host))) {
    throw new Error(
      `${host} is neither on this machine nor in a private network: test your own tracker only`,
    );
  }
  return {
    protocol,
    host,
    port: Number(url.port) || 80,
    path: url.pathname + url.search,
  };
}
