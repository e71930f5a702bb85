import { isUtf8 } from "node:buffer";
import { CloseCode, isCloseCode, noCode } from "./close-code.ts";
import { maskLength, maxControlPayload, Opcode } from "./frame-writer.ts";
import type { MemoryHolder, MessageMemory } from "./message-memory.ts";
import { unmask } from "./unmask.ts";

/** What a {@link FrameReader} calls. The bytes are valid until the method returns, and the method may change them. */
export interface FrameHandler {
  /** Called for each whole message. A text is valid UTF-8. */
  message(bytes: Uint8Array, start: number, end: number, isText: boolean): void;
  /** Called for a ping: respond with a pong of the same payload. */
  ping(bytes: Uint8Array, start: number, end: number): void;
  /** Called for a pong. */
  pong(): void;
  /**
   * Called once when the client closes the WebSocket: respond with `code`. Nothing is read afterwards.
   * @param code  the code of the client, {@link noCode} without one
   */
  closing(code: number): void;
  /** Called once for a fault of the client: close with `code`. Nothing is read afterwards. */
  failed(code: CloseCode): void;
}

/** Limits of one message. */
export interface FrameLimits {
  /** Longest message in bytes, over all its frames. */
  readonly maxMessage: number;
  /** Maximum number of frames of a message. */
  readonly maxFragments: number;
}

/** The opcode of no message. */
const none = -1;

/** The header of the frame that was read last. */
const frame = { payload: 0, end: 0, key: 0 };

/**
 * Reads the frames of one client (RFC 6455 §5), with the strictness of a server: each frame is masked, no extension is in
 * use. A whole message in one frame is unmasked and passed on where it lies, without a copy. An incomplete frame, or a
 * message of several frames, is kept in memory that {@link MessageMemory} lends:
 *
 *     | frames of the message so far, unmasked | incomplete frame as received |
 *     0                                        #assembled                     #length
 *
 * Control frames between the frames of a message are passed on at once.
 */
export class FrameReader implements MemoryHolder {
  readonly #handler: FrameHandler;
  readonly #limits: FrameLimits;
  readonly #memory: MessageMemory;
  #kept: Uint8Array | undefined;
  #assembled = 0;
  #length = 0;
  /** Opcode of the message whose first frame has arrived. */
  #opcode: number = none;
  #fragments = 0;
  #isOver = false;
  #isHeld = false;

  constructor(handler: FrameHandler, limits: FrameLimits, memory: MessageMemory) {
    this.#handler = handler;
    this.#limits = limits;
    this.#memory = memory;
  }

  get held(): number {
    return this.#kept?.length ?? 0;
  }

  /** Whether a part of a message or a frame has arrived. */
  get isPartial(): boolean {
    return this.#length > 0 || this.#opcode !== none;
  }

  /** Whether nothing more is read. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Reads the bytes `bytes[start..end)`, which may change, and calls the handler. */
  receive(bytes: Uint8Array, start: number, end: number): void {
    while (start < end && this.#length > this.#assembled && !this.#isHeld) {
      if (this.#isOver) return;
      // Only the rest of the first frame is copied. The next frame is read where it lies.
      const taken = Math.min(end, start + this.#missing());
      if (this.#isOver) return;
      if (!this.#keep(bytes, start, taken)) return;
      start = taken;
      this.#readKept();
    }
    if (this.#isHeld || this.#isOver) {
      if (start < end && !this.#isOver) this.#keep(bytes, start, end);
      return;
    }
    const rest = this.#read(bytes, start, end);
    if (this.#isOver) return;
    if (rest < end) this.#keep(bytes, rest, end);
    else if (!this.isPartial) this.#forget();
  }

  /** Keeps all further bytes unread, also those after the present message, until {@link release}. For use by the handler. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Reads the bytes that were kept since {@link hold}. */
  release(): void {
    this.#isHeld = false;
    this.#readKept();
  }

  /** Stops reading and returns the memory. Idempotent. */
  stop(): void {
    this.#isOver = true;
    this.#forget();
  }

  /** Called by the memory. */
  evict(): void {
    this.#fail(CloseCode.overload);
  }

  /** Reads whole frames from `bytes[at..end)`. @returns the offset of the first byte that is not read */
  #read(bytes: Uint8Array, at: number, end: number): number {
    while (at < end && !this.#isOver && !this.#isHeld) {
      const state = this.#readHeader(bytes, at, end);
      if (state !== Header.complete || frame.end > end) return at;
      const { payload, end: frameEnd, key } = frame;
      unmask(bytes, payload, frameEnd, key);
      this.#take(bytes[at]!, bytes, payload, frameEnd);
      at = frameEnd;
    }
    return at;
  }

  /** Reads whole frames from the kept bytes. */
  #readKept(): void {
    const from = this.#assembled;
    const bytes = this.#kept;
    if (bytes === undefined || this.#length === from) return;
    const end = this.#length;
    // A frame of the message is appended in front of the bytes that are read.
    this.#length = from;
    const rest = this.#read(bytes, from, end);
    if (this.#isOver) return;
    const kept = this.#kept ?? bytes;
    kept.copyWithin(this.#assembled, rest, end);
    this.#length = this.#assembled + end - rest;
    if (!this.isPartial) this.#forget();
  }

  /** Reads a header into {@link frame}. A fault ends the reading. */
  #readHeader(bytes: Uint8Array, at: number, end: number): Header {
    const have = end - at;
    const first = bytes[at]!;
    const opcode = first & 0x0f;
    const isControl = opcode >= Opcode.close;
    const isFinal = first >= 0x80;
    if ((first & 0x70) !== 0 || opcode > Opcode.pong || (opcode > Opcode.binary && !isControl))
      return this.#fail(CloseCode.protocol);
    if (isControl ? !isFinal : (opcode === Opcode.continuation) === (this.#opcode === none))
      return this.#fail(CloseCode.protocol);
    if (have < 2) return Header.incomplete;
    const second = bytes[at + 1]!;
    if (second < 0x80) return this.#fail(CloseCode.protocol); // without a mask
    let length = second & 0x7f;
    if (isControl && length > maxControlPayload) return this.#fail(CloseCode.protocol);
    let key = at + 2;
    if (length === 126) {
      if (have < 4) return Header.incomplete;
      length = bytes[at + 2]! * 0x100 + bytes[at + 3]!;
      key = at + 4;
    } else if (length === 127) {
      if (have < 10) return Header.incomplete;
      length = 0;
      for (let i = 2; i < 10; i++) length = length * 0x100 + bytes[at + i]!;
      key = at + 10;
    }
    if (!isControl) {
      if (this.#assembled + length > this.#limits.maxMessage) return this.#fail(CloseCode.tooLarge);
      if (this.#fragments >= this.#limits.maxFragments) return this.#fail(CloseCode.policy);
    }
    frame.key = key;
    frame.payload = key + maskLength;
    frame.end = frame.payload + length;
    return Header.complete;
  }

  /** Handles a whole frame with the unmasked payload `bytes[start..end)`. */
  #take(first: number, bytes: Uint8Array, start: number, end: number): void {
    const opcode = first & 0x0f;
    const handler = this.#handler;
    if (opcode === Opcode.ping) handler.ping(bytes, start, end);
    else if (opcode === Opcode.pong) handler.pong();
    else if (opcode === Opcode.close) this.#close(bytes, start, end);
    else if (first < 0x80) {
      if (opcode !== Opcode.continuation) this.#opcode = opcode;
      this.#fragments++;
      this.#assemble(bytes, start, end);
    } else if (opcode !== Opcode.continuation) this.#deliver(opcode, bytes, start, end);
    else {
      if (!this.#assemble(bytes, start, end)) return;
      const message = this.#kept ?? bytes;
      const length = this.#assembled;
      const kind = this.#opcode;
      this.#assembled = this.#length = this.#fragments = 0;
      this.#opcode = none;
      this.#deliver(kind, message, 0, length);
    }
  }

  /** Appends a frame to the message. @returns false if there is no memory */
  #assemble(bytes: Uint8Array, start: number, end: number): boolean {
    if (bytes === this.#kept) {
      bytes.copyWithin(this.#assembled, start, end);
      this.#length = this.#assembled + end - start;
    } else if (!this.#keep(bytes, start, end)) return false;
    this.#assembled = this.#length;
    return true;
  }

  #deliver(opcode: number, bytes: Uint8Array, start: number, end: number): void {
    const isText = opcode === Opcode.text;
    if (isText && !isUtf8(bytes.subarray(start, end))) this.#fail(CloseCode.notUtf8);
    else this.#handler.message(bytes, start, end, isText);
  }

  #close(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    let code: number = noCode;
    if (length > 0) {
      code = length === 1 ? 0 : bytes[start]! * 0x100 + bytes[start + 1]!;
      if (!isCloseCode(code)) return void this.#fail(CloseCode.protocol);
      if (!isUtf8(bytes.subarray(start + 2, end))) return void this.#fail(CloseCode.notUtf8);
    }
    this.stop();
    this.#handler.closing(code);
  }

  /** Returns how many bytes are missing until the kept frame, or its header, is complete. */
  #missing(): number {
    const have = this.#length - this.#assembled;
    const state = this.#readHeader(this.#kept!, this.#assembled, this.#length);
    if (state === Header.failed) return 0; // a reload has lowered the limits
    if (state === Header.complete) return frame.end - this.#length;
    if (have < 2) return 2 - have;
    return ((this.#kept![this.#assembled + 1]! & 0x7f) === 127 ? 10 : 4) - have;
  }

  /** Keeps bytes that cannot be read yet. @returns false if there is no memory, and the reading has ended */
  #keep(bytes: Uint8Array, start: number, end: number): boolean {
    const needed = this.#length + end - start;
    if (needed > this.held) {
      const kept = this.#memory.grow(this, needed);
      if (kept === undefined || this.#isOver) {
        if (!this.#isOver) this.#fail(CloseCode.overload);
        return false;
      }
      if (this.#kept !== undefined) kept.set(this.#kept.subarray(0, this.#length));
      this.#kept = kept;
    }
    this.#kept?.set(bytes.subarray(start, end), this.#length);
    this.#length = needed;
    return true;
  }

  #forget(): void {
    if (this.#kept !== undefined) this.#memory.release(this);
    this.#kept = undefined;
    this.#assembled = this.#length = this.#fragments = 0;
    this.#opcode = none;
  }

  #fail(code: CloseCode): typeof Header.failed {
    this.stop();
    this.#handler.failed(code);
    return Header.failed;
  }
}

const Header = { complete: 0, incomplete: 1, failed: 2 } as const;
type Header = (typeof Header)[keyof typeof Header];
