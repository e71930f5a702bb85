import { Address } from "../ip/address.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import { quote } from "../lib/quote.ts";

/**
 * Parses addresses to listen on: `127.0.0.1:6969`, `[::1]:6969`, `localhost:6969` (127.0.0.1). As in Go, a missing host
 * (`:6969`) and a single `[::]:6969` mean all addresses of both families. In a list, `[::]` means all IPv6 addresses.
 * @param refuse  called with the index and the error of each invalid item
 */
export function parseAddresses(
  items: readonly string[],
  refuse: (index: number, message: string) => void,
): ListenAddress[] {
  const list: ListenAddress[] = [];
  for (const [index, item] of items.entries()) {
    const parsed = parseHostPort(item, items.length === 1);
    if (typeof parsed === "string") {
      refuse(index, `${parsed}, got ${quote(item)}`);
      continue;
    }
    for (const address of parsed) {
      const twice = list.some(
        ({ host, port }) => host === address.host && port === address.port && port !== 0,
      );
      if (twice) refuse(index, `${quote(item)} is listed twice`);
      else list.push(address);
    }
  }
  return list;
}

/** @returns the addresses of one item, or the error */
function parseHostPort(item: string, isAlone: boolean): ListenAddress[] | string {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(item);
  if (match === null) {
    const isBareIPv6 = /^[\da-f]*:[\da-f:]*:[\da-f:.]*$/i.test(item);
    if (isBareIPv6) return 'an IPv6 address needs brackets and a port, as "[::]:6969"';
    return 'expected an address and a port, as "0.0.0.0:6969" or "[::]:6969"';
  }
  const [, bracketed, plain, digits] = match;
  const port = Number(digits);
  if (port > 65_535) return "the port must be 65535 or less";
  if (plain === "" || (bracketed === "::" && isAlone))
    return ["0.0.0.0", "::"].map((host) => ({ host, port }));
  if (plain === "localhost") return [{ host: "127.0.0.1", port }];
  try {
    return [{ host: Address.parse(bracketed ?? plain!).toString(), port }];
  } catch {
    return "expected an IP address before the port (names are not looked up)";
  }
}
