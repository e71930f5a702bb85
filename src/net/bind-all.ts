import type { ListenAddress } from "../ip/listen-address.ts";

/** What binding `::` fails with where the system has no IPv6, or has it turned off. */
const noIPv6: readonly unknown[] = ["EAFNOSUPPORT", "EADDRNOTAVAIL"];

/**
 * Binds the addresses of a frontend in their order: all of them, or none.
 *
 * One may be missing: `::` on a machine without IPv6, where an IPv4 address has the same port. So a configuration
 * for both families, as the default is, works everywhere; one that asks for a certain IPv6 address, or for IPv6
 * alone, is refused.
 * @param bind       rejects with an Error whose `cause` is the system's
 * @param close      undoes `bind`
 * @param onMissing  called with the reason if `::` is left out
 */
export async function bindAll<Address extends ListenAddress, Bound>(
  addresses: readonly Address[],
  bind: (address: Address) => Promise<Bound>,
  close: (bound: Bound) => Promise<void>,
  onMissing: ((error: Error) => void) | undefined,
): Promise<Bound[]> {
  const bound: Bound[] = [];
  const missing: Error[] = [];
  try {
    for (const address of addresses) {
      try {
        bound.push(await bind(address));
      } catch (error) {
        if (!lacksIPv6(address, error) || !hasIPv4(addresses, address.port)) throw error;
        missing.push(error as Error);
      }
    }
  } catch (error) {
    await Promise.all(bound.map(close));
    throw error;
  }
  for (const error of missing) onMissing?.(error);
  return bound;
}

/** Tells whether `::` could not be bound because the system has no IPv6. @param error  of `bindDatagram` or `listenStream` */
export function lacksIPv6({ host }: ListenAddress, error: unknown): boolean {
  const cause = error instanceof Error ? (error.cause as { code?: unknown } | undefined) : undefined;
  return host === "::" && noIPv6.includes(cause?.code);
}

/** All IPv4 addresses have to be bound, so that it is enough if there is one. */
function hasIPv4(addresses: readonly ListenAddress[], wanted: number): boolean {
  return addresses.some(({ host, port }) => !host.includes(":") && port === wanted);
}
