const lf = 0x0a;
const cr = 0x0d;
/** Maximum length of the line before a chunk: its size, and extensions, which are ignored. */
const maxLineLength = 128;
/** Maximum length of the lines after the last chunk. */
const maxTrailerLength = 4096;
/** Maximum number of hexadecimal digits in the size of a chunk. */
const maxSizeDigits = 8;

type State = "size" | "extension" | "data" | "dataEnd" | "trailer" | "complete" | "malformed";

/**
 * Reads a chunked body (RFC 9112 §7.1), split into any pieces. Strict: a line must end with CRLF, and a size must consist of
 * hexadecimal digits. Skips extensions and trailers up to a limit.
 */
export class ChunkReader {
  #state: State = "size";
  /** Size of the chunk; while its data is read, the remaining bytes. */
  #size = 0;
  #digits = 0;
  /** Number of bytes of the line, or of the trailer, that have been read. */
  #lineLength = 0;
  #hasCr = false;
  /** Whether no byte of the present line of the trailer has been read. */
  #isLineEmpty = true;

  get isComplete(): boolean {
    return this.#state === "complete";
  }

  get isMalformed(): boolean {
    return this.#state === "malformed";
  }

  /**
   * Reads from `bytes[at..end)` until the body ends or is malformed.
   * @param take  called with each piece of content, as offsets in `bytes`
   * @returns the offset after the last byte read
   */
  read(bytes: Uint8Array, at: number, end: number, take: (start: number, end: number) => void): number {
    while (at < end && this.#state !== "complete" && this.#state !== "malformed") {
      if (this.#state === "data") {
        const pieceEnd = Math.min(end, at + this.#size);
        take(at, pieceEnd);
        this.#size -= pieceEnd - at;
        at = pieceEnd;
        if (this.#size === 0) this.#state = "dataEnd";
      } else {
        this.#state = this.#step(bytes[at++]!);
      }
    }
    return at;
  }

  /** Reads one byte outside of the content. @returns the next state */
  #step(byte: number): State {
    const state = this.#state;
    this.#lineLength++;
    if (this.#hasCr) {
      this.#hasCr = false;
      return byte === lf ? this.#endLine() : "malformed";
    }
    if (byte === cr) {
      this.#hasCr = true;
      return state === "size" && this.#digits === 0 ? "malformed" : state;
    }
    if (byte === lf || state === "dataEnd") return "malformed";
    if (state === "trailer") {
      this.#isLineEmpty = false;
      return this.#lineLength > maxTrailerLength ? "malformed" : state;
    }
    if (this.#lineLength > maxLineLength) return "malformed";
    if (state === "extension") return state;
    const digit = hexValue(byte);
    if (digit < 0) return byte === 0x3b && this.#digits > 0 ? "extension" : "malformed";
    if (++this.#digits > maxSizeDigits) return "malformed";
    this.#size = this.#size * 16 + digit;
    return state;
  }

  /** Handles the end of a line. @returns the next state */
  #endLine(): State {
    const state = this.#state;
    if (state === "trailer") {
      const isLast = this.#isLineEmpty;
      this.#isLineEmpty = true;
      return isLast ? "complete" : state;
    }
    this.#lineLength = this.#digits = 0;
    if (state === "dataEnd") return "size";
    return this.#size > 0 ? "data" : "trailer";
  }
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
