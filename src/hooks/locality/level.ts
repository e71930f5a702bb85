import type { Address } from "../../ip/address.ts";
import { parseNetwork, prefixMask } from "../../ip/networks.ts";
import { noPrefix, type PrefixMap, PrefixMapBuilder } from "../../ip/prefix-map.ts";

/** Divides addresses into neighbourhoods. Keeps one current neighbourhood, the last one that was entered. */
export interface Level {
  /** The name of the level in metrics. */
  readonly name: string;
  /**
   * Words, at most five, that identify the neighbourhood within its level, the same in every thread and after a reload.
   */
  readonly key: Int32Array;
  /** Enters the neighbourhood of an address. @returns whether the address has one. Never allocates. */
  enter(address: Address): boolean;
  /** Returns whether an address is in the current neighbourhood. Never allocates. */
  has(address: Address): boolean;
}

/** A level whose neighbours share the first bits of their addresses. */
export class PrefixLevel implements Level {
  readonly name: string;
  /** The shared bits, the family, and the lengths of the prefixes, which a reload may change. */
  readonly key: Int32Array = new Int32Array(5);
  readonly #mask4: Int32Array;
  readonly #mask6: Int32Array;
  readonly #lengths: number;
  #family = 0;

  /** @param ipv4  bits that neighbours share, 0 to 32 @param ipv6  the same, 0 to 128 */
  constructor(name: string, ipv4: number, ipv6: number) {
    this.name = name;
    this.#mask4 = prefixMask(ipv4);
    this.#mask6 = prefixMask(ipv6);
    this.#lengths = ipv4 * 256 + ipv6;
  }

  enter({ family, words }: Address): boolean {
    const mask = family === 4 ? this.#mask4 : this.#mask6;
    const { key } = this;
    this.#family = family;
    for (let i = 0; i < 4; i++) key[i] = words[i]! & mask[i]!;
    key[4] = (family << 16) | this.#lengths;
    return true;
  }

  has({ family, words }: Address): boolean {
    const mask = family === 4 ? this.#mask4 : this.#mask6;
    const entered = this.key;
    return (
      family === this.#family &&
      (words[0]! & mask[0]!) === entered[0] &&
      (words[1]! & mask[1]!) === entered[1] &&
      (words[2]! & mask[2]!) === entered[2] &&
      (words[3]! & mask[3]!) === entered[3]
    );
  }
}

/**
 * A level whose neighbours are in networks of the same value; the longest prefix decides. Other addresses have no
 * neighbours.
 */
export class NetworksLevel implements Level {
  readonly name: string;
  readonly key: Int32Array = new Int32Array(2);
  protected map: PrefixMap;
  /** Two words for each value of the map, independent of the numbering, which a reload may change. */
  readonly #keys: Int32Array | undefined;
  #entered: number = noPrefix;

  /**
   * @param identities  a text for each value of the map, which changes when the neighbourhood does; without texts, a
   * value always means the same neighbourhood
   */
  constructor(name: string, map: PrefixMap, identities?: readonly string[]) {
    this.name = name;
    this.map = map;
    this.#keys =
      identities && Int32Array.from(identities.flatMap((one) => [hashText(one, 1), hashText(one, 2)]));
  }

  /**
   * Creates a level from networks in CIDR notation.
   * @throws RangeError that names the text that is not a network
   */
  static parse(name: string, networks: Readonly<Record<string, readonly string[]>>): NetworksLevel {
    const names = Object.keys(networks);
    const builder = new PrefixMapBuilder();
    names.forEach((one, value) => {
      for (const text of networks[one]!) {
        const { address, prefix } = parseNetwork(text);
        builder.add(address, prefix, value);
      }
    });
    const identities = names.map((one) => [one, ...networks[one]!].join());
    return new NetworksLevel(name, builder.build(), identities);
  }

  enter(address: Address): boolean {
    const found = this.map.find(address);
    this.#entered = found;
    if (found === noPrefix) return false;
    const keys = this.#keys;
    this.key[0] = keys === undefined ? found : keys[2 * found]!;
    this.key[1] = keys === undefined ? 0 : keys[2 * found + 1]!;
    return true;
  }

  has(address: Address): boolean {
    return this.map.find(address) === this.#entered;
  }
}

/** Hashes the characters with FNV-1a. */
function hashText(text: string, seed: number): number {
  let hash = Math.imul(0x811c9dc5, seed);
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 0;
}
