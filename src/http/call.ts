import type { StreamHandler } from "../net/stream.ts";
import type { HttpRequest } from "../protocol/http/request-reader.ts";
import { HttpError } from "./http-error.ts";
import { RequestBody } from "./request-body.ts";

/** Maximum number of bytes per write. This much of a response waits in memory for a slow client. */
const pieceLength = 16 * 1024;
const continueResponse = new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n");

/** Why nobody needs the response of a call: the connection is gone, or the handler took too long. */
export type Abandonment = "gone" | "late";

/** The connection of a call. */
export interface CallOwner {
  write(bytes: Uint8Array, start: number, end: number): void;
  /** Bytes that the client has not taken yet. */
  readonly pending: number;
  /** Resumes reading the body. */
  resumeBody(): void;
  /** Closes the connection now. */
  destroy(reset: boolean): void;
}

/**
 * One request beyond the fast path: with a body, with a response in pieces, or with an upgrade. The handler creates a call
 * by {@link RequestSource.begin}, and returns a promise of undefined that settles at the end of the request.
 */
export class Call {
  readonly body: RequestBody;
  /** Whether the connection may stay open after the response. Set by the handler. */
  keepAlive = false;
  /** The handler that gets the connection after this request. */
  heir: StreamHandler<unknown> | undefined;
  readonly #owner: CallOwner;
  /** Whether the client waits for "100 Continue" before it sends the body. */
  #awaitsContinue: boolean;
  readonly #abort: AbortController = new AbortController();
  readonly #abandoned: PromiseWithResolvers<Abandonment> = Promise.withResolvers();
  #hasSent = false;
  #isGone = false;
  #wake: (() => void) | undefined;

  /** @param expectsContinue  whether the client waits for "100 Continue" before it sends the body */
  constructor(request: HttpRequest, expectsContinue: boolean, owner: CallOwner) {
    this.#owner = owner;
    this.#awaitsContinue = expectsContinue;
    this.body = new RequestBody(request.bodyLength, {
      sendContinue: () => {
        if (this.#awaitsContinue && !this.#isGone) owner.write(continueResponse, 0, continueResponse.length);
        this.#awaitsContinue = false;
      },
      resume: () => owner.resumeBody(),
    });
  }

  /** Settles when the connection is gone, or when the handler has taken too long. */
  get abandoned(): Promise<Abandonment> {
    return this.#abandoned.promise;
  }

  /** Whether a part of the response has been sent. */
  get hasSent(): boolean {
    return this.#hasSent;
  }

  /** Aborted when the connection is gone, when the client has shut down its sending side, or when the handler has taken too long. */
  get gone(): AbortSignal {
    return this.#abort.signal;
  }

  /** Whether the client must send more of the body now. */
  get isBodyDue(): boolean {
    const { isComplete, isFull, hasFailed } = this.body;
    return !isComplete && !isFull && !hasFailed && !this.#awaitsContinue;
  }

  /**
   * Sends all of `bytes` in pieces. Waits before each piece until the client has received the previous one.
   * @returns false if the connection is gone
   */
  async send(bytes: Uint8Array): Promise<boolean> {
    this.#hasSent = true;
    for (let at = 0; at < bytes.length && !this.#isGone; at += pieceLength) {
      this.#owner.write(bytes, at, Math.min(bytes.length, at + pieceLength));
      while (this.#owner.pending > 0 && !this.#isGone) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
    return !this.#isGone;
  }

  /** Hands the connection over to `heir` after this request. The heir gets all following bytes and the end of the connection. */
  upgrade<State>(heir: StreamHandler<State>): void {
    this.heir = heir as StreamHandler<unknown>;
  }

  /** Resets the connection in the middle of the response, so that the client notices the incomplete response. */
  destroy(): void {
    this.#owner.destroy(true);
  }

  /** Called by the connection when the client has received all bytes. */
  drained(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Called by the connection when the client has shut down its sending side. */
  ended(): void {
    this.body.fail(new HttpError(400, "the body is cut off"));
    this.#abort.abort();
  }

  /** Called by the connection when the handler has taken too long. */
  expire(): void {
    this.#abandoned.resolve("late");
    this.#abort.abort();
  }

  /** Called by the connection when it is gone. */
  closed(): void {
    this.#isGone = true;
    this.#abandoned.resolve("gone");
    this.ended();
    this.drained();
  }
}
