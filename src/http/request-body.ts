import { chunked } from "../protocol/http/request-reader.ts";
import { ChunkReader } from "./chunk-reader.ts";
import { HttpError } from "./http-error.ts";

/** Bytes that may wait for the handler before the client has to. */
const maxUnread = 64 * 1024;

/** What a body asks of its connection. */
export interface BodyOwner {
  /** The handler wants the body, and nothing of it has come: some clients wait for an invitation. */
  invite(): void;
  /** There is room for more bytes. */
  resume(): void;
}

/**
 * The body of a request, for one reader: {@link bytes}, or an iteration. Never more than {@link maxUnread} bytes and one read of
 * the network wait in it. Both fail with an {@link HttpError}: 400 for a malformed body and one that is cut off, 413 for one of
 * more than `limit` bytes, 408 for a client that stalls.
 */
export class RequestBody implements AsyncIterable<Uint8Array> {
  readonly #owner: BodyOwner;
  readonly #chunks: ChunkReader | undefined;
  /** Bytes still to come, where the head has named their number. */
  #left: number;
  #received = 0;
  #limit = Number.POSITIVE_INFINITY;
  #unread: Uint8Array[] = [];
  #unreadLength = 0;
  #error: HttpError | undefined;
  #wake: (() => void) | undefined;
  #isInvited = false;

  /** @param length  as in a request's head: -1 for none, or {@link chunked} */
  constructor(length: number, owner: BodyOwner) {
    this.#owner = owner;
    this.#chunks = length === chunked ? new ChunkReader() : undefined;
    this.#left = Math.max(length, 0);
  }

  /** Sets the number of bytes that the handler takes at most. */
  set limit(bytes: number) {
    this.#limit = bytes;
    this.#checkLimit();
  }

  /** Whether all of it has arrived. */
  get isComplete(): boolean {
    return this.#chunks ? this.#chunks.isComplete : this.#left === 0;
  }

  get hasFailed(): boolean {
    return this.#error !== undefined;
  }

  /** Whether the client must not send more for now. */
  get isFull(): boolean {
    return this.#unreadLength >= maxUnread;
  }

  /**
   * Takes from `bytes[at..end)` what belongs to the body. All is taken, and thrown away, once the body has failed.
   * @returns where the next request begins; `end` while the body is incomplete
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

  /** Ends the body early: what is not read yet fails. */
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
        if (!this.#isInvited && this.#received === 0) this.#owner.invite();
        this.#isInvited = true;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #keep(bytes: Uint8Array, start: number, end: number): void {
    if (start === end || this.#error !== undefined) return;
    this.#received += end - start;
    this.#unread.push(bytes.slice(start, end));
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
