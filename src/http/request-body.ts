import { chunked } from "../protocol/http/request-reader.ts";
import { ChunkReader } from "./chunk-reader.ts";
import { HttpError } from "./http-error.ts";

/** Maximum number of bytes that wait for the handler; then reading from the client stops. */
const maxUnread = 64 * 1024;

/** The connection of a body. */
export interface BodyOwner {
  /** Sends "100 Continue" if the client waits for it. Called when the handler reads the body before any of it has arrived. */
  sendContinue(): void;
  /** Resumes reading from the client. */
  resume(): void;
}

/**
 * The body of a request. Read it once, by {@link bytes} or by iteration. At most {@link maxUnread} bytes, and one further
 * read of the network, wait in memory. Reading fails with an {@link HttpError}: 400 for a malformed or incomplete body, 413
 * for more than `limit` bytes, 408 for a client that stalls.
 */
export class RequestBody implements AsyncIterable<Uint8Array> {
  readonly #owner: BodyOwner;
  readonly #chunks: ChunkReader | undefined;
  /** Number of missing bytes, if the head has a content length. */
  #left: number;
  #received = 0;
  #limit = Number.POSITIVE_INFINITY;
  #unread: Uint8Array[] = [];
  #unreadLength = 0;
  #error: HttpError | undefined;
  #wake: (() => void) | undefined;
  #hasAskedToContinue = false;

  /** @param length  content length of the request's head; -1 without a body; or {@link chunked} */
  constructor(length: number, owner: BodyOwner) {
    this.#owner = owner;
    this.#chunks = length === chunked ? new ChunkReader() : undefined;
    this.#left = Math.max(length, 0);
  }

  /** Sets the maximum length of the body. */
  set limit(bytes: number) {
    this.#limit = bytes;
    this.#checkLimit();
  }

  /** Whether the whole body has arrived. */
  get isComplete(): boolean {
    return this.#chunks ? this.#chunks.isComplete : this.#left === 0;
  }

  get hasFailed(): boolean {
    return this.#error !== undefined;
  }

  /** Whether reading from the client must pause. */
  get isFull(): boolean {
    return this.#unreadLength >= maxUnread;
  }

  /**
   * Reads the bytes of the body from `bytes[at..end)`. Discards all bytes if the body has failed.
   * @returns the offset of the next request; `end` while the body is incomplete
   */
  receive(bytes: Uint8Array, at: number, end: number): number {
    if (this.isComplete) return at;
    if (this.#error !== undefined) return end;
    if (this.#chunks) {
      at = this.#chunks.read(bytes, at, end, (start, stop) => this.#keep(bytes, start, stop));
      if (this.#chunks.isMalformed) this.fail(new HttpError(400, "a malformed chunk"));
      else if (this.isComplete) this.#notify();
      return this.#error === undefined ? at : end;
    }
    const stop = Math.min(end, at + this.#left);
    this.#left -= stop - at;
    this.#keep(bytes, at, stop);
    return stop;
  }

  /** Fails the body: reading the rest throws `error`. */
  fail(error: HttpError): void {
    if (this.isComplete) return;
    this.#error ??= error;
    this.#unread = [];
    this.#unreadLength = 0;
    this.#notify();
  }

  /** Returns the whole body. */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    const parts: Uint8Array[] = [];
    for await (const part of this) parts.push(part);
    return Buffer.concat(parts);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error;
      const part = this.#unread.shift();
      if (part !== undefined) {
        const wasFull = this.isFull;
        this.#unreadLength -= part.length;
        if (wasFull && !this.isFull) this.#owner.resume();
        yield part;
      } else if (this.isComplete) {
        return;
      } else {
        if (!this.#hasAskedToContinue && this.#received === 0) this.#owner.sendContinue();
        this.#hasAskedToContinue = true;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #keep(bytes: Uint8Array, start: number, end: number): void {
    if (start === end || this.#error !== undefined) return;
    this.#received += end - start;
    this.#unread.push(Uint8Array.prototype.slice.call(bytes, start, end)); // a Buffer's own slice is no copy
    this.#unreadLength += end - start;
    this.#checkLimit();
    this.#notify();
  }

  #checkLimit(): void {
    if (this.#received <= this.#limit) return;
    this.#error ??= new HttpError(413, `a body of more than ${this.#limit} bytes`);
    this.#unread = [];
    this.#unreadLength = 0;
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
