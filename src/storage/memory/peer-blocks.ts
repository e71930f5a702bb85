import { type BlockAllocator, blockPeers, classFor, pageClass } from "./allocator.ts";
import { Big, Counted, headerOffsets, listShift, listWords, locate, pagePeers, Swarm } from "./layout.ts";
import type { PeerIndex } from "./peer-index.ts";

/** The layout of a small swarm's counts in its record: the class, then the counts, 9 bits each. */
const countBits = 9;
const firstCount = 5;
const classMask = 31;
/** The number of peers at which a swarm gets an index, and below which scanning is faster. */
const indexFrom = 2 * pagePeers;
const indexUpTo = pagePeers;
/** A swarm or header that would fill less than this share of the next smaller block moves there. */
const spare = 0.75;

/**
 * The blocks of the swarms of one family, and their counts: one block for a small swarm; for a swarm of more than
 * {@link pagePeers} peers as many pages as needed, so that no swarm is copied as a whole. The record or header of a
 * swarm is consistent at any moment, so a thread may die at any moment: at worst one block is lost.
 */
export class PeerBlocks {
  readonly #records: Int32Array;
  readonly #words: Int32Array;
  readonly #stride: number;
  readonly #allocator: BlockAllocator;
  readonly #index: PeerIndex;
  /** Classes of the smallest header, and of the biggest or a list. */
  readonly #headerClass: number;
  readonly #listClass: number;

  constructor(
    records: Int32Array,
    words: Int32Array,
    stride: number,
    allocator: BlockAllocator,
    index: PeerIndex,
  ) {
    this.#records = records;
    this.#words = words;
    this.#stride = stride;
    this.#allocator = allocator;
    this.#index = index;
    this.#headerClass = classFor(Math.ceil((Big.first + 2) / stride));
    this.#listClass = classFor(Math.ceil(listWords / stride));
  }

  /** Returns one of {@link Counted}. */
  count(record: number, what: number): number {
    const block = this.#records[record]!;
    if (block > 0) {
      return (
        (this.#records[record + Swarm.counts]! >>> (firstCount + countBits * what)) & (2 * pagePeers - 1)
      );
    }
    return block === 0 ? 0 : this.#words[what - block]!;
  }

  /** Changes one of {@link Counted}. */
  add(record: number, what: number, by: 1 | -1): void {
    const block = this.#records[record]!;
    if (block > 0) {
      const at = record + Swarm.counts;
      this.#records[at] = this.#records[at]! + (by << (firstCount + countBits * what));
    } else {
      this.#words[what - block] = this.#words[what - block]! + by;
    }
  }

  /** Returns the offset of a peer. */
  at(record: number, position: number): number {
    const block = this.#records[record]!;
    if (block > 0) return block + position * this.#stride;
    return locate(this.#words, -block, position, this.#stride);
  }

  /** Returns the header of a swarm with an index, else 0. */
  indexed(record: number): number {
    const header = -this.#records[record]!;
    return header > 0 && this.#words[header + Big.index] !== 0 ? header : 0;
  }

  /** Returns how many peers fit without growing. */
  capacity(record: number): number {
    const block = this.#records[record]!;
    if (block > 0) return blockPeers[this.#allocator.classOf(block)]!;
    return block === 0 ? 0 : this.#words[Big.pages - block]! * pagePeers;
  }

  /** Repairs after a thread died: writes all counts, and the class of the block. A swarm without peers has no block. */
  mend(record: number, counts: readonly number[]): void {
    const records = this.#records;
    const block = records[record]!;
    if (counts[Counted.total] === 0) {
      records[record] = 0; // the block is lost
    } else if (block > 0) {
      records[record + Swarm.counts] = this.#packed(this.#allocator.classOf(block), counts);
    } else {
      this.#words.set(counts, -block);
    }
  }

  #packed(cls: number, counts: readonly number[]): number {
    return counts.reduce((word, count, what) => word | (count << (firstCount + countBits * what)), cls);
  }

  /** Makes room for one more peer. @returns whether there is room */
  grow(record: number): boolean {
    const records = this.#records;
    const block = records[record]!;
    if (block < 0) return this.#growBig(record);
    if (block === 0) {
      const first = this.#allocator.allocate(0);
      records[record + Swarm.counts] = 0;
      records[record] = first;
      return first !== 0;
    }
    const total = this.count(record, Counted.total);
    const cls = records[record + Swarm.counts]! & classMask;
    if (total < blockPeers[cls]!) return true;
    return cls < pageClass ? this.#resize(record, cls + 1) : this.#enlarge(record);
  }

  /** Frees memory that is much too big after a peer has left. Keeps the memory if there is no room to move. */
  shrink(record: number): void {
    const records = this.#records;
    const block = records[record]!;
    const total = this.count(record, Counted.total);
    if (block < 0) {
      this.#shrinkBig(record, -block, total);
    } else if (total === 0) {
      records[record] = 0;
      this.#allocator.free(block);
    } else {
      const cls = records[record + Swarm.counts]! & classMask;
      if (cls > 0 && total <= spare * blockPeers[cls - 1]!) this.#resize(record, cls - 1);
    }
  }

  /** Moves a small swarm to a block of another class. */
  #resize(record: number, cls: number): boolean {
    const records = this.#records;
    const old = records[record]!;
    const block = this.#allocator.allocate(cls);
    if (block === 0) return false;
    this.#words.copyWithin(block, old, old + this.count(record, Counted.total) * this.#stride);
    records[record] = block;
    records[record + Swarm.counts] = (records[record + Swarm.counts]! & ~classMask) | cls;
    this.#allocator.free(old);
    return true;
  }

  /** Gives a swarm that fills a page a header and a second page. */
  #enlarge(record: number): boolean {
    const words = this.#words;
    const header = this.#allocator.allocateZeros(this.#headerClass);
    const page = header === 0 ? 0 : this.#allocator.allocate(pageClass);
    if (page === 0) {
      if (header !== 0) this.#allocator.free(header);
      return false;
    }
    for (const what of [0, 1, 2]) words[header + what] = this.count(record, what);
    words[header + Big.pages] = 2;
    words[header + Big.levels] = 1;
    words[header + Big.cls] = this.#headerClass;
    words[header + Big.first] = this.#records[record]!;
    words[header + Big.first + 1] = page;
    this.#records[record] = -header;
    return true;
  }

  #growBig(record: number): boolean {
    const words = this.#words;
    const old = -this.#records[record]!;
    const pages = words[old + Big.pages]!;
    if (words[old]! < pages * pagePeers) return true;
    const header = this.#growHeader(record, old, pages);
    if (header === 0) return false;
    const page = this.#allocator.allocate(pageClass);
    if (page === 0) return false;
    let at = header + Big.first + pages;
    if (words[header + Big.levels] === 2) {
      const list = header + Big.first + (pages >>> listShift);
      if (words[list] === 0) words[list] = this.#allocator.allocateZeros(this.#listClass);
      if (words[list] === 0) {
        this.#allocator.free(page);
        return false;
      }
      at = words[list]! + (pages & (listWords - 1));
    }
    words[at] = page;
    words[header + Big.pages] = pages + 1;
    if (words[header + Big.index] === 0 && words[header]! >= indexFrom) this.#index.build(header);
    return true;
  }

  /** Grows the header by one page, or by one level. @returns the header, or 0 */
  #growHeader(record: number, header: number, pages: number): number {
    const levels = this.#words[header + Big.levels]!;
    const cls = this.#words[header + Big.cls]!;
    const capacity = this.#headerCapacity(cls);
    if ((levels === 1 ? pages : pages >>> listShift) < capacity) return header;
    if (capacity < headerOffsets) return this.#reshape(record, cls + 1, levels);
    return levels === 1 ? this.#reshape(record, this.#headerClass, 2) : 0;
  }

  #headerCapacity(cls: number): number {
    return Math.min(headerOffsets, blockPeers[cls]! * this.#stride - Big.first);
  }

  /** Moves the header to a block of another class, and to one or two levels. @returns the header, or 0 */
  #reshape(record: number, cls: number, levels: number): number {
    const words = this.#words;
    const old = -this.#records[record]!;
    const oldLevels = words[old + Big.levels]!;
    const pages = words[old + Big.pages]!;
    const header = this.#allocator.allocateZeros(cls);
    if (header === 0) return 0;
    let from = old + Big.first;
    let to = header + Big.first;
    if (levels > oldLevels) {
      const list = this.#allocator.allocateZeros(this.#listClass);
      if (list === 0) {
        this.#allocator.free(header);
        return 0;
      }
      words[to] = list;
      to = list;
    } else if (levels < oldLevels) {
      from = words[from]!;
    }
    words.copyWithin(header, old, old + Big.first);
    words.copyWithin(to, from, from + (levels + oldLevels < 4 ? pages : Math.ceil(pages / listWords)));
    words[header + Big.levels] = levels;
    words[header + Big.cls] = cls;
    this.#records[record] = -header;
    if (levels < oldLevels) this.#allocator.free(from);
    this.#allocator.free(old);
    return header;
  }

  #shrinkBig(record: number, header: number, total: number): void {
    const words = this.#words;
    if (total <= indexUpTo && words[header + Big.index] !== 0) this.#index.drop(header);
    const pages = words[header + Big.pages]! - 1;
    if (total > pages * pagePeers - pagePeers / 4) return;
    const page = locate(words, header, pages * pagePeers, this.#stride);
    if (pages === 1) {
      let counts = pageClass;
      for (const what of [0, 1, 2]) counts |= words[header + what]! << (firstCount + countBits * what);
      this.#records[record + Swarm.counts] = counts;
      this.#records[record] = words[header + Big.first]!;
      this.#allocator.free(header);
    } else {
      words[header + Big.pages] = pages;
      this.#shrinkHeader(record, header, pages);
    }
    this.#allocator.free(page);
  }

  /** Frees an empty list, and header space that is much too big, after a page has gone. */
  #shrinkHeader(record: number, header: number, pages: number): void {
    const words = this.#words;
    const cls = words[header + Big.cls]!;
    const levels = words[header + Big.levels]!;
    if (levels === 2 && (pages & (listWords - 1)) === 0) {
      const at = header + Big.first + (pages >>> listShift);
      const list = words[at]!;
      words[at] = 0;
      this.#allocator.free(list);
    }
    const offsets = levels === 1 ? pages : Math.ceil(pages / listWords);
    if (levels === 2 && pages <= spare * headerOffsets) this.#reshape(record, this.#listClass, 1);
    else if (cls > this.#headerClass && offsets <= spare * this.#headerCapacity(cls - 1))
      this.#reshape(record, cls - 1, levels);
  }
}
