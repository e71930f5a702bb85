import { Address, addressLength, type Family, parseAddress } from "./address.ts";

/** Words of one network in the table: its address and its mask. */
const stride = 8;

/**
 * A short list of networks, searched from front to back.
 *
 * Shape: per network four words of address and four of mask, in the order of {@link Address.words}.
 */
export class Networks {
  readonly #families: readonly Family[];
  readonly #words: Int32Array;

  private constructor(families: readonly Family[], words: Int32Array) {
    this.#families = families;
    this.#words = words;
  }

  /**
   * Parses networks in CIDR notation (`10.0.0.0/8`, `2001:db8::/32`) and single addresses. IPv4-mapped networks become
   * IPv4. Bits beyond the prefix must be zero: a network with other bits there is probably a typing error.
   * @throws RangeError that names the entry and the problem
   */
  static parse(list: readonly string[]): Networks {
    const families: Family[] = [];
    const words = new Int32Array(list.length * stride);
    list.forEach((text, index) => {
      const { address, prefix } = parseNetwork(text);
      families.push(address.family);
      words.set(address.words, index * stride);
      words.set(prefixMask(prefix), index * stride + 4);
    });
    return new Networks(families, words);
  }

  get size(): number {
    return this.#families.length;
  }

  /** Returns whether one of the networks contains the address. Never allocates. */
  contains(address: Address): boolean {
    const families = this.#families;
    const words = this.#words;
    const wanted = address.words;
    for (let i = 0, at = 0; i < families.length; i++, at += stride) {
      if (
        families[i] === address.family &&
        (wanted[0]! & words[at + 4]!) === words[at] &&
        (wanted[1]! & words[at + 5]!) === words[at + 1] &&
        (wanted[2]! & words[at + 6]!) === words[at + 2] &&
        (wanted[3]! & words[at + 7]!) === words[at + 3]
      ) {
        return true;
      }
    }
    return false;
  }
}

/** A network: all addresses that share the first `prefix` bits of `address`, whose other bits are zero. */
export interface Network {
  address: Address;
  /** 0 to 32 for IPv4, 0 to 128 for IPv6. */
  prefix: number;
}

/** Returns the mask of a prefix, as words in the order of {@link Address.words}. */
export function prefixMask(prefix: number): Int32Array {
  const mask = new Uint8Array(16);
  for (let bit = 0; bit < prefix; bit++) mask[bit >> 3]! |= 0x80 >> (bit & 7);
  return new Int32Array(mask.buffer);
}

/**
 * Parses one network, as {@link Networks.parse} does.
 * @throws RangeError that names the problem
 */
export function parseNetwork(text: string): Network {
  const slash = text.indexOf("/");
  const host = slash < 0 ? text : text.slice(0, slash);
  if (host.includes("%")) throw new RangeError(`a network has no zone: ${JSON.stringify(text)}`);
  let address: Address;
  try {
    address = Address.parse(host);
  } catch (cause) {
    throw new RangeError(`not a network: ${JSON.stringify(text)}; write 10.0.0.0/8 or 2001:db8::/32`, {
      cause,
    });
  }
  const bits = 8 * addressLength[address.family];
  // The first 96 bits of an IPv4-mapped prefix are the mapping.
  const mapped = address.family === 4 && host.includes(":") ? 96 : 0;
  let prefix = bits;
  if (slash >= 0) {
    const digits = text.slice(slash + 1);
    prefix = /^(0|[1-9]\d{0,2})$/.test(digits) ? Number(digits) - mapped : -1;
    if (prefix < 0 || prefix > bits) {
      throw new RangeError(`the prefix of ${JSON.stringify(text)} must be ${mapped} to ${bits + mapped}`);
    }
  }
  const mask = prefixMask(prefix);
  const first = new Address();
  first.copyFrom(address);
  for (let i = 0; i < 4; i++) first.words[i]! &= mask[i]!;
  if (!first.equals(address)) {
    throw new RangeError(`${JSON.stringify(text)} has bits beyond its prefix; write ${first}/${prefix}`);
  }
  return { address, prefix };
}

/**
 * Parses the network in ASCII `bytes[start..end)` into `out`. Never throws, never allocates.
 * @returns the prefix; -1 if the bytes are not a network, or are an IPv4-mapped network, which only {@link
 * parseNetwork} reads
 */
export function readNetwork(bytes: Uint8Array, start: number, end: number, out: Address): number {
  let isIPv6 = false;
  let slash = start;
  for (; slash < end && bytes[slash] !== 0x2f; slash++) {
    if (bytes[slash] === 0x25) return -1;
    if (bytes[slash] === 0x3a) isIPv6 = true;
  }
  if (!parseAddress(bytes, start, slash, out) || isIPv6 !== (out.family === 6)) return -1;
  const bits = isIPv6 ? 128 : 32;
  if (slash === end) return bits;
  let prefix = 0;
  for (let at = slash + 1; at < end; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9 || (prefix === 0 && at > slash + 1)) return -1;
    prefix = prefix * 10 + digit;
    if (prefix > bits) return -1;
  }
  if (slash + 1 === end) return -1;
  for (let bit = prefix; bit < bits; bit = (bit | 7) + 1) {
    if ((out.bytes[bit >> 3]! & (0xff >> (bit & 7))) !== 0) return -1;
  }
  return prefix;
}
