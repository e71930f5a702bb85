/** Initial capacity, which is enough for most requests. */
const firstCapacity = 512;

/**
 * The received part of a request or of a PROXY header. The memory grows with the part, so that a client must send as many
 * bytes as it occupies.
 */
export class PartialHead {
  /** The received bytes are `bytes[0..length)`. */
  bytes: Uint8Array = new Uint8Array(firstCapacity);
  length = 0;

  /**
   * Appends bytes from `bytes[start..end)` up to a total of `limit` bytes. Appends nothing if there are more already.
   * @returns the number of appended bytes
   */
  append(bytes: Uint8Array, start: number, end: number, limit: number): number {
    const length = Math.max(this.length, Math.min(limit, this.length + end - start));
    if (length > this.bytes.length) {
      let capacity = this.bytes.length;
      while (capacity < length) capacity *= 2;
      const grown = new Uint8Array(capacity);
      grown.set(this.bytes);
      this.bytes = grown;
    }
    const taken = length - this.length;
    this.bytes.set(bytes.subarray(start, start + taken), this.length);
    this.length = length;
    return taken;
  }
}
