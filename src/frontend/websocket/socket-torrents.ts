/** Words of a torrent: infohash, peer id, number. */
const words = 11;
const hashWords = 5;
const idBytes = 20;
const numberAt = 10;

/** The torrents that one socket has announced, with the peer id of each. */
export class SocketTorrents {
  #words: Int32Array<ArrayBuffer> = new Int32Array(words);
  #bytes: Uint8Array = new Uint8Array(this.#words.buffer);
  #count = 0;
  #lastNumber = 0;

  get count(): number {
    return this.#count;
  }

  /** Returns the index of an infohash, given as five words, or -1. Indices change with {@link remove}. */
  find(infoHash: Int32Array): number {
    for (let i = 0, at = 0; i < this.#count; i++, at += words) {
      let same = 0;
      while (same < hashWords && this.#words[at + same] === infoHash[same]) same++;
      if (same === hashWords) return i;
    }
    return -1;
  }

  /** Adds an infohash, or sets its peer id. @returns its index */
  set(infoHash: Int32Array, peerId: Int32Array): number {
    let index = this.find(infoHash);
    if (index < 0) {
      index = this.#count;
      if ((index + 1) * words > this.#words.length) this.#grow();
      this.#count++;
      this.#words.set(infoHash, index * words);
      this.#words[index * words + numberAt] = ++this.#lastNumber;
    }
    this.#words.set(peerId, index * words + hashWords);
    return index;
  }

  /** Returns a number that no other torrent of the socket has or had, not 0. */
  number(index: number): number {
    return this.#words[index * words + numberAt]!;
  }

  /** Returns the infohash at `index`, valid until the next change. */
  infoHash(index: number): Uint8Array {
    const at = index * words * 4;
    return this.#bytes.subarray(at, at + idBytes);
  }

  /** Returns the peer id at `index`, valid until the next change. */
  peerId(index: number): Uint8Array {
    const at = index * words * 4 + idBytes;
    return this.#bytes.subarray(at, at + idBytes);
  }

  /** Removes a torrent; the last one takes its index. */
  remove(index: number): void {
    const last = --this.#count;
    this.#words.copyWithin(index * words, last * words, (last + 1) * words);
  }

  clear(): void {
    this.#count = 0;
  }

  #grow(): void {
    const grown = new Int32Array(this.#words.length * 2);
    grown.set(this.#words);
    this.#words = grown;
    this.#bytes = new Uint8Array(grown.buffer);
  }
}
