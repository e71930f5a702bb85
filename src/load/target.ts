import { lookup } from "node:dns/promises";
import { Address } from "../ip/address.ts";
import { Networks } from "../ip/networks.ts";

/** What a load is made at. */
export interface Target {
  protocol: "udp" | "http";
  /** An address, not a name. */
  host: string;
  port: number;
  /** Path and query. */
  path: string;
}

/** This machine, its link, and the networks that nobody has on the Internet (RFC 1918, RFC 4193, RFC 3927). */
const ownNetworks = Networks.parse([
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
 * Finds out what a URL of a tracker is the target of.
 * @throws Error that says what is wrong with it; so is any address of the Internet: a load is not for others' trackers
 */
export async function resolveTarget(text: string): Promise<Target> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "udp:" && url?.protocol !== "http:") {
    throw new Error(`${text}: not a URL of udp: or http:`);
  }
  if (url.protocol === "udp:" && url.port === "") throw new Error(`${text}: has no port`);
  const name = url.hostname.replace(/^\[|\]$/g, "");
  const { address: host } = await lookup(name).catch((cause) => {
    throw new Error(`${name} has no address`, { cause });
  });
  if (!ownNetworks.contains(Address.parse(host))) {
    throw new Error(
      `${host} is neither on this machine nor in a private network: test your own tracker only`,
    );
  }
  return {
    protocol: url.protocol === "udp:" ? "udp" : "http",
    host,
    port: Number(url.port) || 80,
    path: url.pathname + url.search,
  };
}
