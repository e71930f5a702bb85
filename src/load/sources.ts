import { Address } from "../ip/address.ts";

/** Default number of source addresses. */
export const defaultSources = 64;

/** Range of the peers' ports, which always have five digits. */
const firstPort = 10_000;
const ports = 55_000;

/**
 * The source addresses of a load. For a tracker on 127.0.0.0/8, they are 127.1.0.1 and the following addresses, which all
 * belong to this machine. For any other tracker, the kernel chooses the only source address.
 */
export class Sources {
  readonly count: number;
  readonly #isLoopback: boolean;

  /** @param host  IP address of the tracker */
  constructor(host: string, count: number) {
    const { family, bytes } = Address.parse(host);
    this.#isLoopback = family === 4 && bytes[0] === 127;
    this.count = this.#isLoopback ? count : 1;
  }

  /** Returns an IPv4 address as 32 bits; undefined if the kernel chooses the address. */
  address(source: number): number | undefined {
    return this.#isLoopback ? 0x7f010001 + source : undefined;
  }
}

/** Returns the port of a peer; the peer belongs to the source `peer % sources`. */
export function portOf(peer: number, sources: number): number {
  return firstPort + (Math.floor(peer / sources) % ports);
}
