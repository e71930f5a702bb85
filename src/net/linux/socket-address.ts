import type { Address, Family } from "../../ip/address.ts";
import { Linux } from "./libc.ts";

/** Bytes for a `sockaddr_in` (16) or a `sockaddr_in6` (28), rounded up. */
export const socketAddressCapacity = 32;

/** Bytes of a socket address of a family. */
export const socketAddressLength = { 4: 16, 6: 28 } as const;

/**
 * Writes a socket address: family u16 in machine order, port u16; then for IPv4 the address, for IPv6 flow u32, address
 * and scope u32.
 */
export function writeSocketAddress(
  view: DataView,
  at: number,
  address: Address,
  family: Family,
  port: number,
): void {
  view.setUint16(at, family === 4 ? Linux.AF_INET : Linux.AF_INET6, true);
  view.setUint16(at + 2, port);
  const bytes = address.bytes;
  if (family === 4) {
    for (let i = 0; i < 4; i++) view.setUint8(at + 4 + i, bytes[i]!);
  } else {
    view.setUint32(at + 4, 0);
    for (let i = 0; i < 16; i++) view.setUint8(at + 8 + i, bytes[i]!);
    view.setUint32(at + 24, 0);
  }
}

/** Reads the IP address in a socket address of `family` into `address`, in canonical form. */
export function readSocketAddress(bytes: Uint8Array, at: number, family: Family, address: Address): void {
  address.set(family, bytes, at + (family === 4 ? 4 : 8));
}
