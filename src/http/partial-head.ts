/** Room that an incomplete request begins with; most need no more. */
const firstCapacity = 512;

/**
 * The part of a request (or of a PROXY header) that has arrived, in memory that grows with it: a client pays for
 * ours with as much of its own.
 */
export class PartialHead {
  /** What has arrived is `bytes[0..length)`. */
  bytes: Uint8Array = new Uint8Array(firstCapacity);
  length = 0;

  /**
   * Appends from `bytes[start..end)` what fits below `limit` bytes in all, which may be fewer than there are already.
   * @returns bytes taken
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
