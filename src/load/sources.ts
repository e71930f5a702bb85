import { Address } from "../ip/address.ts";

/** Addresses that a load comes from, if it can choose. */
export const defaultSources = 64;

/** Ports of peers: always five digits. */
const firstPort = 10_000;
const ports = 55_000;

/**
 * The addresses that a load comes from: 127.1.0.1 and so on for a tracker on 127.0.0.0/8, whose answers to them
 * reach this machine; otherwise only the one that the kernel takes.
 */
export class Sources {
  readonly count: number;
  readonly #isLoopback: boolean;

  /** @param host  address of the tracker */
  constructor(host: string, count: number) {
    const { family, bytes } = Address.parse(host);
    this.#isLoopback = family === 4 && bytes[0] === 127;
    this.count = this.#isLoopback ? count : 1;
  }

  /** An IPv4 address as 32 bits; undefined for the one that the kernel takes. */
  address(source: number): number | undefined {
    return this.#isLoopback ? 0x7f010001 + source : undefined;
  }
}

/** The port of a peer, which belongs to the source `peer % sources`. */
export function portOf(peer: number, sources: number): number {
  return firstPort + (Math.floor(peer / sources) % ports);
}
