/** Words of a torrent: infohash, peer id, number. */
const words = 11;
const idWords = 5;
const numberAt = 2 * idWords;

/** The infohash and the peer id that were read last. */
const infoHashWords = new Int32Array(idWords);
const infoHash = new Uint8Array(infoHashWords.buffer);
const peerIdWords = new Int32Array(idWords);
const peerId = new Uint8Array(peerIdWords.buffer);

/**
 * The torrents that one socket has announced, with the peer id of each. The words are small integers of an array: an array
 * takes a third of the memory of a typed array with two views.
 */
export class SocketTorrents {
  #words: number[] = new Array<number>(words).fill(0);
  #count = 0;
  #lastNumber = 0;

  get count(): number {
    return this.#count;
  }

  /** Returns the index of an infohash, given as five words, or -1. Indices change with {@link remove}. */
  find(infoHash: Int32Array): number {
    for (let i = 0, at = 0; i < this.#count; i++, at += words) {
      let same = 0;
      while (same < idWords && this.#words[at + same] === infoHash[same]) same++;
      if (same === idWords) return i;
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
      this.#copy(infoHash, index * words);
      this.#words[index * words + numberAt] = ++this.#lastNumber;
    }
    this.#copy(peerId, index * words + idWords);
    return index;
  }

  /** Returns a number that no other torrent of the socket has or had, not 0. */
  number(index: number): number {
    return this.#words[index * words + numberAt]!;
  }

  /** Returns the infohash at `index`, valid until the next call for any socket. */
  infoHash(index: number): Uint8Array {
    for (let i = 0; i < idWords; i++) infoHashWords[i] = this.#words[index * words + i]!;
    return infoHash;
  }

  /** Returns the peer id at `index`, valid until the next call for any socket. */
  peerId(index: number): Uint8Array {
    for (let i = 0; i < idWords; i++) peerIdWords[i] = this.#words[index * words + idWords + i]!;
    return peerId;
  }

  /** Removes a torrent; the last one takes its index. */
  remove(index: number): void {
    const last = --this.#count;
    this.#words.copyWithin(index * words, last * words, (last + 1) * words);
  }

  clear(): void {
    this.#count = 0;
  }

  #copy(from: Int32Array, at: number): void {
    for (let i = 0; i < idWords; i++) this.#words[at + i] = from[i]!;
  }

  #grow(): void {
    const grown = new Array<number>(this.#words.length * 2).fill(0);
    for (let i = 0; i < this.#words.length; i++) grown[i] = this.#words[i]!;
    this.#words = grown;
  }
}
