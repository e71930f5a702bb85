import { type Arena, ArenaControl, Control, Page, pagePeers } from "./layout.ts";
import { lock, unlock } from "./lock.ts";

/** Peers in a block of each class. The last class is a whole page; the others waste little of a page. */
export const blockPeers: readonly number[] = [
  1,
  2,
  3,
  4,
  5,
  6,
  8,
  10,
  12,
  16,
  21,
  25,
  32,
  42,
  51,
  64,
  85,
  128,
  pagePeers,
];
export const pageClass: number = blockPeers.length - 1;
const blocksPerPage: readonly number[] = blockPeers.map((peers) => Math.floor(pagePeers / peers));
const usedWords = Page.words - Page.used;

/** Returns the smallest class whose blocks hold `peers` peers, at most a whole page. */
export function classFor(peers: number): number {
  const cls = blockPeers.findIndex((size) => size >= peers);
  return cls < 0 ? pageClass : cls;
}

/**
 * Allocates blocks of peers of one kind. The arena consists of pages of {@link pagePeers} peers, and each page in use
 * is cut into blocks of one class. After its last block is freed, a page can serve any class again, so free memory
 * never ends up in pieces too small for a bigger block. Callers hold no lock but their stripe's.
 *
 * A table records for each page which blocks are in use, and the page's neighbours in a list: the pages of its class
 * with room, or the free pages.
 */
export class BlockAllocator {
  readonly #arena: Int32Array;
  readonly #pages: Int32Array;
  readonly #control: Int32Array;
  readonly #at: number;
  readonly #stride: number;
  readonly #pageWords: number;
  readonly #owner: number;

  constructor(
    arena: Int32Array,
    pages: Int32Array,
    control: Int32Array,
    arenaNumber: Arena,
    peerWords: number,
    owner: number,
  ) {
    this.#arena = arena;
    this.#pages = pages;
    this.#control = control;
    this.#at = Control.arenas + arenaNumber * ArenaControl.words;
    this.#stride = peerWords;
    this.#pageWords = peerWords * pagePeers;
    this.#owner = owner;
  }

  /** @returns the word offset of a block with arbitrary contents, or 0 if there is no room */
  allocate(cls: number): number {
    const control = this.#control;
    lock(control, Control.allocatorLock, this.#owner);
    let page = control[this.#at + ArenaControl.partial + cls]!;
    if (page === 0) page = this.#takePage(cls);
    const block = page === 0 ? 0 : this.#takeBlock(page, cls);
    unlock(control, Control.allocatorLock);
    return block;
  }

  /** Does the same as {@link allocate}, but zeros the block. */
  allocateZeros(cls: number): number {
    const block = this.allocate(cls);
    if (block !== 0) this.#arena.fill(0, block, block + blockPeers[cls]! * this.#stride);
    return block;
  }

  free(block: number): void {
    lock(this.#control, Control.allocatorLock, this.#owner);
    const page = (block / this.#pageWords) | 0;
    const at = page * Page.words;
    const pages = this.#pages;
    const cls = this.classOf(block);
    const slot = ((block - page * this.#pageWords) / (blockPeers[cls]! * this.#stride)) | 0;
    const wasFull = this.#firstFree(page, cls) < 0;
    const word = at + Page.used + (slot >> 5);
    pages[word] = pages[word]! & ~(1 << (slot & 31));
    if (this.#isEmpty(page)) {
      if (!wasFull) this.#unlink(page, cls);
      this.#pushFree(page);
    } else if (wasFull) {
      this.#link(page, cls);
    }
    unlock(this.#control, Control.allocatorLock);
  }

  /** Returns the class of a block in use. */
  classOf(block: number): number {
    return this.#pages[((block / this.#pageWords) | 0) * Page.words + Page.before]! >>> Page.classShift;
  }

  /**
   * Rebuilds all lists from the table, which is consistent at any moment. For a thread that died with the allocator's
   * lock: the caller acts in place of the dead thread.
   */
  rebuild(): void {
    const control = this.#control;
    control.fill(0, this.#at + ArenaControl.free, this.#at + ArenaControl.partial + blockPeers.length);
    for (let page = control[this.#at + ArenaControl.top]! - 1; page > 0; page--) {
      const cls = this.#pages[page * Page.words + Page.before]! >>> Page.classShift;
      if (this.#isEmpty(page)) this.#pushFree(page);
      else if (this.#firstFree(page, cls) >= 0) this.#link(page, cls);
    }
  }

  /** Assigns a free page to a class. @returns the page's number, or 0 */
  #takePage(cls: number): number {
    const control = this.#control;
    let page = control[this.#at + ArenaControl.free]!;
    if (page !== 0) {
      control[this.#at + ArenaControl.free] = this.#pages[page * Page.words + Page.next]!;
    } else {
      page = control[this.#at + ArenaControl.top]!;
      if ((page + 1) * this.#pageWords > this.#arena.length) return 0;
      control[this.#at + ArenaControl.top] = page + 1;
    }
    this.#link(page, cls);
    return page;
  }

  #takeBlock(page: number, cls: number): number {
    const pages = this.#pages;
    const slot = this.#firstFree(page, cls);
    const word = page * Page.words + Page.used + (slot >> 5);
    pages[word] = pages[word]! | (1 << (slot & 31));
    if (this.#firstFree(page, cls) < 0) this.#unlink(page, cls);
    return page * this.#pageWords + slot * blockPeers[cls]! * this.#stride;
  }

  /** Returns the number of the first free block of a page, or -1. */
  #firstFree(page: number, cls: number): number {
    const at = page * Page.words + Page.used;
    for (let word = 0; word < usedWords; word++) {
      const free = ~this.#pages[at + word]!;
      if (free === 0) continue;
      const slot = 32 * word + 31 - Math.clz32(free & -free);
      return slot < blocksPerPage[cls]! ? slot : -1;
    }
    return -1;
  }

  #isEmpty(page: number): boolean {
    const at = page * Page.words + Page.used;
    for (let word = 0; word < usedWords; word++) if (this.#pages[at + word] !== 0) return false;
    return true;
  }

  #pushFree(page: number): void {
    const head = this.#at + ArenaControl.free;
    this.#pages[page * Page.words + Page.next] = this.#control[head]!;
    this.#control[head] = page;
  }

  #link(page: number, cls: number): void {
    const pages = this.#pages;
    const head = this.#at + ArenaControl.partial + cls;
    const next = this.#control[head]!;
    pages[page * Page.words + Page.next] = next;
    pages[page * Page.words + Page.before] = cls << Page.classShift;
    if (next !== 0) pages[next * Page.words + Page.before] = (cls << Page.classShift) | page;
    this.#control[head] = page;
  }

  #unlink(page: number, cls: number): void {
    const pages = this.#pages;
    const next = pages[page * Page.words + Page.next]!;
    const before = pages[page * Page.words + Page.before]! & Page.number;
    if (before === 0) this.#control[this.#at + ArenaControl.partial + cls] = next;
    else pages[before * Page.words + Page.next] = next;
    if (next !== 0) pages[next * Page.words + Page.before] = (cls << Page.classShift) | before;
  }
}

/**
 * Allocates numbered records of a fixed size (torrents, records of IPv6 and web swarms). A free list runs through word `link` of
 * each free record. Numbers begin at 1.
 */
export class RecordAllocator {
  readonly #records: Int32Array;
  readonly #words: number;
  readonly #link: number;
  readonly #control: Int32Array;
  readonly #top: number;
  readonly #free: number;
  readonly #owner: number;

  /** @param top, free  offsets in the control block of the first unused number and the free list's head */
  constructor(
    records: Int32Array,
    words: number,
    link: number,
    control: Int32Array,
    top: number,
    free: number,
    owner: number,
  ) {
    this.#records = records;
    this.#words = words;
    this.#link = link;
    this.#control = control;
    this.#top = top;
    this.#free = free;
    this.#owner = owner;
  }

  /** @returns the number of a record of zeros, or 0 if there is no room */
  allocate(): number {
    const control = this.#control;
    lock(control, Control.allocatorLock, this.#owner);
    let id = control[this.#free]!;
    if (id !== 0) {
      control[this.#free] = this.#records[id * this.#words + this.#link]!;
      this.#records[id * this.#words + this.#link] = 0;
    } else if ((control[this.#top]! + 1) * this.#words <= this.#records.length) {
      id = control[this.#top]!;
      control[this.#top] = id + 1;
    }
    unlock(control, Control.allocatorLock);
    return id;
  }

  free(id: number): void {
    const at = id * this.#words;
    this.#records.fill(0, at, at + this.#words);
    lock(this.#control, Control.allocatorLock, this.#owner);
    this.#records[at + this.#link] = this.#control[this.#free]!;
    this.#control[this.#free] = id;
    unlock(this.#control, Control.allocatorLock);
  }
}
