import { shortIndexClass } from "./allocator.ts";
import { hashEndpoint } from "./hash.ts";
import { Control, Meta } from "./memory.ts";

/** Where the endpoint keys begin among the keys of the control block. */
const endpointKeys = Control.keys + 24;

/**
 * Finds peers in a big block: an open-addressed table behind the block's peers, linear probing, half full at
 * most, whose entries are positions plus one.
 *
 *     | peer 0 | peer 1 | ... | index: 2^(class+1) entries of 16 or 32 bits |
 */
export class BlockIndex {
  readonly #peers: Int32Array;
  readonly #short: Uint16Array;
  readonly #control: Int32Array;
  readonly #stride: number;
  readonly #addressWords: number;

  constructor(peers: Int32Array, control: Int32Array, stride: number, addressWords: number) {
    this.#peers = peers;
    this.#short = new Uint16Array(peers.buffer, peers.byteOffset, peers.length * 2);
    this.#control = control;
    this.#stride = stride;
    this.#addressWords = addressWords;
  }

  /** @returns the position of an endpoint, or -1. @param port  as in {@link Meta} */
  find(block: number, cls: number, address: Int32Array, port: number): number {
    const peers = this.#peers;
    const count = this.#addressWords;
    const mask = (2 << cls) - 1;
    let entry = hashEndpoint(address, 0, count, port, this.#control, endpointKeys) & mask;
    for (;;) {
      const position = this.#get(block, cls, entry) - 1;
      if (position < 0) return -1;
      const at = block + position * this.#stride;
      if (
        peers[at] === address[0] &&
        (peers[at + count]! & Meta.port) === port &&
        (count === 1 ||
          (peers[at + 1] === address[1] && peers[at + 2] === address[2] && peers[at + 3] === address[3]))
      ) {
        return position;
      }
      entry = (entry + 1) & mask;
    }
  }

  /** Enters the peer at `position`, which is in the block but not in the index. */
  add(block: number, cls: number, position: number): void {
    const mask = (2 << cls) - 1;
    let entry = this.#home(block, position) & mask;
    while (this.#get(block, cls, entry) !== 0) entry = (entry + 1) & mask;
    this.#set(block, cls, entry, position + 1);
  }

  /** Says that the peer at `from` is about to move (or has been copied) to `to`; its words are still at `from`. */
  move(block: number, cls: number, from: number, to: number): void {
    this.#set(block, cls, this.#entryOf(block, cls, from), to + 1);
  }

  /** Exchanges the entries of two peers that are about to change places. */
  swap(block: number, cls: number, a: number, b: number): void {
    const entryA = this.#entryOf(block, cls, a);
    const entryB = this.#entryOf(block, cls, b);
    this.#set(block, cls, entryA, b + 1);
    this.#set(block, cls, entryB, a + 1);
  }

  /** Takes the peer at `position` out, and closes the gap in its run so that no probe ends too early. */
  remove(block: number, cls: number, position: number): void {
    const mask = (2 << cls) - 1;
    let gap = this.#entryOf(block, cls, position);
    let entry = gap;
    for (;;) {
      entry = (entry + 1) & mask;
      const value = this.#get(block, cls, entry);
      if (value === 0) break;
      const home = this.#home(block, value - 1) & mask;
      // The entry may fill the gap unless its home lies behind it: cyclically in (gap, entry].
      if (((entry - home) & mask) >= ((entry - gap) & mask)) {
        this.#set(block, cls, gap, value);
        gap = entry;
      }
    }
    this.#set(block, cls, gap, 0);
  }

  /** Indexes all `total` peers of a block. */
  build(block: number, cls: number, total: number): void {
    const start = block + (this.#stride << cls);
    this.#peers.fill(0, start, start + (cls <= shortIndexClass ? 1 << cls : 2 << cls));
    for (let position = 0; position < total; position++) this.add(block, cls, position);
  }

  #home(block: number, position: number): number {
    const at = block + position * this.#stride;
    const count = this.#addressWords;
    const port = this.#peers[at + count]! & Meta.port;
    return hashEndpoint(this.#peers, at, count, port, this.#control, endpointKeys);
  }

  #entryOf(block: number, cls: number, position: number): number {
    const mask = (2 << cls) - 1;
    let entry = this.#home(block, position) & mask;
    while (this.#get(block, cls, entry) !== position + 1) entry = (entry + 1) & mask;
    return entry;
  }

  #get(block: number, cls: number, entry: number): number {
    const start = block + (this.#stride << cls);
    return cls <= shortIndexClass ? this.#short[start * 2 + entry]! : this.#peers[start + entry]!;
  }

  #set(block: number, cls: number, entry: number, value: number): void {
    const start = block + (this.#stride << cls);
    if (cls <= shortIndexClass) this.#short[start * 2 + entry] = value;
    else this.#peers[start + entry] = value;
  }
}
