import type { StreamHandler } from "../net/stream.ts";
import type { HttpRequest } from "../protocol/http/request-reader.ts";
import { HttpError } from "./http-error.ts";
import { RequestBody } from "./request-body.ts";

/** Bytes that are handed to the network at once: as much of a response waits in memory for a slow client. */
const pieceLength = 16 * 1024;
const invitation = new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n");

/** What a call asks of its connection. */
export interface CallOwner {
  write(bytes: Uint8Array, start: number, end: number): void;
  /** Bytes that the client has not taken yet. */
  readonly pending: number;
  /** Lets the rest of the body come. */
  resumeBody(): void;
  /** Closes the connection now. */
  destroy(reset: boolean): void;
}

/**
 * One request beyond the fast path: its body, a response that is sent in pieces, or the hand-over of the connection. The handler
 * takes it with {@link RequestSource.begin}, and returns a promise of nothing that settles when the request is done with.
 */
export class Call {
  readonly body: RequestBody;
  /** Whether the connection may stay open after the response. Set by the handler. */
  keepAlive = false;
  /** Who gets the connection when the request is done with. */
  heir: StreamHandler<unknown> | undefined;
  readonly #owner: CallOwner;
  /** Whether the client holds the body back. */
  #awaitsInvitation: boolean;
  readonly #abort: AbortController = new AbortController();
  #isGone = false;
  #wake: (() => void) | undefined;

  /** @param expectsContinue  whether the client sends the body only when it is invited to */
  constructor(request: HttpRequest, expectsContinue: boolean, owner: CallOwner) {
    this.#owner = owner;
    this.#awaitsInvitation = expectsContinue;
    this.body = new RequestBody(request.bodyLength, {
      invite: () => {
        if (this.#awaitsInvitation && !this.#isGone) owner.write(invitation, 0, invitation.length);
        this.#awaitsInvitation = false;
      },
      resume: () => owner.resumeBody(),
    });
  }

  /** Aborted when nobody waits for the response any more, or the client has shut down its sending side. */
  get gone(): AbortSignal {
    return this.#abort.signal;
  }

  /** Whether the client has to send more of the body now. */
  get isBodyDue(): boolean {
    const { isComplete, isFull, hasFailed } = this.body;
    return !isComplete && !isFull && !hasFailed && !this.#awaitsInvitation;
  }

  /**
   * Sends all of `bytes`, piece by piece, each when the client has taken the one before.
   * @returns false once the connection is gone
   */
  async send(bytes: Uint8Array): Promise<boolean> {
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

  /** Hands the connection over as soon as the request is done with: bytes that follow are the heir's, and so is the end. */
  upgrade<State>(heir: StreamHandler<State>): void {
    this.heir = heir as StreamHandler<unknown>;
  }

  /** Closes the connection in the middle of the response, so that the client sees that it is not whole. */
  destroy(): void {
    this.#owner.destroy(true);
  }

  /** The client has taken all that was sent. The connection calls this. */
  drained(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** The client sends nothing more. The connection calls this. */
  ended(): void {
    this.body.fail(new HttpError(400, "the body is cut off"));
    this.#abort.abort();
  }

  /** The connection is gone. The connection calls this. */
  closed(): void {
    this.#isGone = true;
    this.ended();
    this.drained();
  }
}
