import { Address } from "../bittorrent/address.ts";
import type { ListenAddress } from "../net/listen-address.ts";
import { quote } from "./diagnostics.ts";

/**
 * Parses addresses to listen on: `127.0.0.1:6969`, `[::1]:6969`, `localhost:6969` (127.0.0.1). A missing host
 * (`:6969`), and a single `[::]:6969`, are all addresses of both families, as in Go; in a list `[::]` is all of
 * IPv6 only.
 * @returns the addresses, or what is wrong with which
 */
export function parseAddressList(
  items: readonly string[],
): ListenAddress[] | { message: string; index: number } {
  const list: ListenAddress[] = [];
  for (const [index, item] of items.entries()) {
    const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(item);
    const port = Number(match?.[3] ?? -1);
    const host = match?.[1] ?? match?.[2] ?? "";
    const wrong =
      match === null ? missing(item) : port > 65_535 ? "the port must be 65535 or less" : undefined;
    if (wrong !== undefined || match === null) return { message: `${wrong}, got ${quote(item)}`, index };
    const both = host === "" || (host === "::" && items.length === 1);
    const hosts = both ? ["0.0.0.0", "::"] : [host === "localhost" ? "127.0.0.1" : host];
    for (const literal of hosts) {
      const canonical = canonicalHost(literal, match[1] !== undefined || both);
      if (canonical === undefined) {
        return {
          message: `expected an IP address before the port, got ${quote(item)}; names are not looked up`,
          index,
        };
      }
      if (port !== 0 && list.some((other) => other.host === canonical && other.port === port)) {
        return { message: `${quote(item)} is listed twice`, index };
      }
      list.push({ host: canonical, port });
    }
  }
  return list;
}

function missing(item: string): string {
  if (/^[\da-f]*:[\da-f:]*:[\da-f:.]*$/i.test(item))
    return 'an IPv6 address needs brackets and a port, as "[::]:6969"';
  return 'expected an address and a port, as "0.0.0.0:6969" or "[::]:6969"';
}

function canonicalHost(host: string, bracketed: boolean): string | undefined {
  try {
    const address = Address.parse(host);
    return host.includes(":") && !bracketed ? undefined : address.toString();
  } catch {
    return undefined;
  }
}
