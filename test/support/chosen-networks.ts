import { Address } from "../../src/ip/address.ts";

/** Computes the inverse of an odd number modulo 2^32. */
export function invert(odd: number): number {
  let inverse = odd;
  for (let i = 0; i < 5; i++) inverse = Math.imul(inverse, 2 - Math.imul(odd, inverse));
  return inverse;
}

/**
 * Chooses IPv6 networks that collide with `victim` in a hash of `w0 ^ seed ^ w1 * 0x85ebca6b` with any seed: the difference
 * of the second word cancels the difference of the first word.
 */
export function chooseNetworks(victim: Address, count: number): Address[] {
  const wanted = victim.words[0]! ^ Math.imul(victim.words[1]!, 0x85ebca6b);
  return Array.from({ length: count }, (_, n) => {
    const address = Address.parse(`2001:db8:${n.toString(16)}::1`);
    address.bytes[3] = n;
    address.words[1] = Math.imul(wanted ^ address.words[0]!, invert(0x85ebca6b));
    return address;
  });
}
