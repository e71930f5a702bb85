import { Address } from "../ip/address.ts";
import { copy20, infoHashLength } from "./info-hash.ts";
import { Params } from "./params.ts";

/** One scrape, independent of its protocol. Reused like an announce. */
export class ScrapeRequest {
  /** Room for the infohashes: 20 bytes each, in the order of the request, duplicates kept. */
  readonly infoHashes: Uint8Array;
  /** The same bytes as 32-bit words in machine order, five an infohash. */
  readonly infoHashWords: Int32Array;
  /** Infohashes in the request, cut to the configured maximum. */
  count = 0;
  /** The client's address, for hooks. The counts do not depend on its family. */
  readonly address: Address = new Address();
  readonly params: Params = new Params();
  readonly #hidden: Uint8Array;

  /** @param capacity  the maximum number of infohashes */
  constructor(capacity: number) {
    this.infoHashes = new Uint8Array(capacity * infoHashLength);
    this.infoHashWords = new Int32Array(this.infoHashes.buffer);
    this.#hidden = new Uint8Array(capacity);
  }

  get capacity(): number {
    return this.#hidden.length;
  }

  /** Empties the request. */
  reset(): void {
    this.#hidden.fill(0, 0, this.count);
    this.count = 0;
  }

  /** Adds the infohash at `at`; drops it if the request is full. */
  add(bytes: Uint8Array, at: number): void {
    if (this.count < this.capacity) copy20(bytes, at, this.infoHashes, infoHashLength * this.count++);
  }

  /** Returns the infohash at `index`: 20 bytes of the request itself. */
  infoHash(index: number): Uint8Array {
    return this.infoHashes.subarray(infoHashLength * index, infoHashLength * (index + 1));
  }

  /** Makes the tracker respond as if the infohash at `index` were unknown. */
  hide(index: number): void {
    this.#hidden[index] = 1;
  }

  isHidden(index: number): boolean {
    return this.#hidden[index] === 1;
  }
}

/** The response to a scrape: four numbers for each infohash of the request, in its order. */
export class ScrapeResponse {
  readonly #rows: Uint32Array;

  constructor(capacity: number) {
    this.#rows = new Uint32Array(capacity * 4);
  }

  /** Zeros the first `count` rows, as for unknown infohashes. */
  reset(count: number): void {
    this.#rows.fill(0, 0, count * 4);
  }

  /**
   * Sets the numbers of one infohash.
   * @param complete    seeders of both families
   * @param incomplete  leechers, partial seeds included
   * @param snatches    completed downloads
   * @param partial     partial seeds among the leechers (BEP 21)
   */
  set(index: number, complete: number, incomplete: number, snatches: number, partial: number): void {
    const at = index * 4;
    this.#rows[at] = complete;
    this.#rows[at + 1] = incomplete;
    this.#rows[at + 2] = snatches;
    this.#rows[at + 3] = partial;
  }

  complete(index: number): number {
    return this.#rows[index * 4]!;
  }
  incomplete(index: number): number {
    return this.#rows[index * 4 + 1]!;
  }
  snatches(index: number): number {
    return this.#rows[index * 4 + 2]!;
  }
  partial(index: number): number {
    return this.#rows[index * 4 + 3]!;
  }
}
