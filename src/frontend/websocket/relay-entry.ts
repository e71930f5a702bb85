/** What an entry carries. */
export const RelayKind = { offer: 1, answer: 2 } as const;
export type RelayKind = (typeof RelayKind)[keyof typeof RelayKind];

/**
 * Bytes before the frame of an entry. All numbers are of 32 bits in little-endian order:
 *
 *     | length | frame start | frame end | kind | target: handle, generation | origin: handle, generation, tracker | unused |
 *     | infohash 20 | offer id 20 |
 *
 * `length` is that of the whole entry. The frame's offsets count from the beginning of the entry, because the length of the
 * frame's header is known only after its payload has been written.
 */
export const entryHead = 80;
const at = {
  length: 0,
  start: 4,
  end: 8,
  kind: 12,
  handle: 16,
  generation: 20,
  originHandle: 24,
  originGeneration: 28,
  originTracker: 32,
  infoHash: 40,
  offerId: 60,
} as const;

/**
 * An offer or answer on its way to a socket of another worker or tracker: a WebSocket frame that is ready to be sent, and what
 * the receiver has to note. Reused; the frame is valid while the receiver handles the entry.
 */
export class RelayEntry {
  kind: RelayKind = RelayKind.offer;
  /** The socket that gets the frame. */
  handle = 0;
  generation = 0;
  /** The tracker of that socket, where the entry itself does not travel: 0 for this one. */
  targetTracker = 0;
  /** The socket that sent the offer or answer, and its tracker: 0 for this one. */
  originHandle = 0;
  originGeneration = 0;
  originTracker = 0;
  readonly infoHash: Uint8Array = new Uint8Array(20);
  readonly infoHashWords: Int32Array = new Int32Array(this.infoHash.buffer);
  readonly offerId: Uint8Array = new Uint8Array(20);
  /** `bytes[start..end)` is the frame. */
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;

  /** Writes all but the frame and its offsets. @param view  of all of `bytes` */
  writeHead(bytes: Uint8Array, view: DataView, entry: number): void {
    view.setUint32(entry + at.kind, this.kind, true);
    view.setUint32(entry + at.handle, this.handle, true);
    view.setUint32(entry + at.generation, this.generation, true);
    view.setUint32(entry + at.originHandle, this.originHandle, true);
    view.setUint32(entry + at.originGeneration, this.originGeneration, true);
    view.setUint32(entry + at.originTracker, this.originTracker, true);
    bytes.set(this.infoHash, entry + at.infoHash);
    bytes.set(this.offerId, entry + at.offerId);
  }

  /** Reads an entry. @returns its length */
  read(bytes: Uint8Array, view: DataView, entry: number): number {
    this.kind = view.getUint32(entry + at.kind, true) as RelayKind;
    this.handle = view.getUint32(entry + at.handle, true);
    this.generation = view.getUint32(entry + at.generation, true);
    this.originHandle = view.getUint32(entry + at.originHandle, true);
    this.originGeneration = view.getUint32(entry + at.originGeneration, true);
    this.originTracker = view.getUint32(entry + at.originTracker, true);
    for (let i = 0; i < 20; i++) this.infoHash[i] = bytes[entry + at.infoHash + i]!;
    for (let i = 0; i < 20; i++) this.offerId[i] = bytes[entry + at.offerId + i]!;
    this.bytes = bytes;
    this.start = entry + view.getUint32(entry + at.start, true);
    this.end = entry + view.getUint32(entry + at.end, true);
    return view.getUint32(entry + at.length, true);
  }
}

/** Writes the offsets of the frame `[start..end)` of an entry. @returns the entry's length: a multiple of 8 */
export function closeEntry(view: DataView, entry: number, start: number, end: number): number {
  const length = (end - entry + 7) & ~7;
  view.setUint32(entry + at.length, length, true);
  view.setUint32(entry + at.start, start - entry, true);
  view.setUint32(entry + at.end, end - entry, true);
  return length;
}
