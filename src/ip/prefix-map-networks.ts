import { Address, type Family } from "./address.ts";
import type { Network } from "./networks.ts";
import { noPrefix, type PrefixMap, type Ranges } from "./prefix-map.ts";

/** A network of a {@link PrefixMap}. */
export interface MappedNetwork extends Network {
  readonly value: number;
}

/**
 * Lists the networks of a map whose values tell the prefixes, in the order of their addresses, outer networks first. A
 * network whose addresses all have longer prefixes in the map is left out, because it decides about no address.
 * @param prefixOf  returns the prefix of a value
 */
export function* listNetworks(
  { memory }: PrefixMap,
  prefixOf: (value: number) => number,
): Generator<MappedNetwork> {
  yield* listFamily(4, memory.ranges4, prefixOf);
  yield* listFamily(6, memory.ranges6, prefixOf);
}

function* listFamily(
  family: Family,
  { starts, values }: Ranges,
  prefixOf: (value: number) => number,
): Generator<MappedNetwork> {
  const bits = family === 4 ? 32 : 128;
  /** The networks around the present address, the innermost last. */
  const open: { start: bigint; end: bigint }[] = [];
  for (let range = 0; range < values.length; range++) {
    const value = values[range]!;
    if (value === noPrefix) continue;
    const prefix = prefixOf(value);
    const size = 1n << BigInt(bits - prefix);
    const end = range + 1 < values.length ? readStart(starts, range + 1, bits) : 1n << BigInt(bits);
    // Neighbours with the same value share a range.
    for (let at = readStart(starts, range, bits); at < end; at = (at / size + 1n) * size) {
      const start = (at / size) * size;
      while (open.length > 0 && open.at(-1)!.end <= at) open.pop();
      const inner = open.at(-1);
      if (inner?.start === start && inner.end === start + size) continue;
      open.push({ start, end: start + size });
      yield { address: toAddress(family, start, bits), prefix, value };
    }
  }
}

/**
 * Returns whether a map whose values tell the prefixes has a network with a value. Ends whatever the memory holds, even
 * while another thread writes the map.
 */
export function hasNetwork({ memory }: PrefixMap, { address, prefix }: Network, value: number): boolean {
  const bits = address.family === 4 ? 32 : 128;
  const { starts, values } = address.family === 4 ? memory.ranges4 : memory.ranges6;
  const first = toBigInt(address);
  /** Returns the last range that begins at or before an address. */
  const find = (wanted: bigint): number => {
    let low = 0;
    for (let high = values.length; high - low > 1; ) {
      const middle = (low + high) >>> 1;
      if (readStart(starts, middle, bits) <= wanted) low = middle;
      else high = middle;
    }
    return low;
  };
  const last = find(first + (1n << BigInt(bits - prefix)) - 1n);
  for (let range = find(first); range <= last; range++) if (values[range] === value) return true;
  return false;
}

function readStart(starts: Int32Array, range: number, bits: number): bigint {
  const width = bits / 32;
  let start = 0n;
  for (let i = 0; i < width; i++)
    start = (start << 32n) | BigInt((starts[range * width + i]! ^ (1 << 31)) >>> 0);
  return start;
}

function toBigInt({ family, bytes }: Address): bigint {
  return BigInt(`0x${Buffer.from(bytes.subarray(0, family === 4 ? 4 : 16)).toString("hex")}`);
}

function toAddress(family: Family, value: bigint, bits: number): Address {
  const address = new Address();
  address.set(family, Buffer.from(value.toString(16).padStart(bits / 4, "0"), "hex"), 0);
  return address;
}
