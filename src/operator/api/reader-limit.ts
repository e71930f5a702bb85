import type { RouteRequest } from "../../http/routes.ts";
import { Problem } from "./problem.ts";

/** Limits the clients that read a stream of an endpoint at once. */
export class ReaderLimit {
  readonly #maximum: number;
  readonly #action: string;
  readonly #readers = new Set<AbortSignal>();

  /** @param action  what the clients do, for the error text: "listen" */
  constructor(maximum: number, action: string) {
    this.#maximum = maximum;
    this.#action = action;
  }

  /**
   * Admits the client of a request. The client counts from now on, so that requests at the same time do not pass the limit,
   * until the stream ends or the client is gone.
   * @returns the stream
   * @throws Problem 503 if there are too many clients
   */
  admit(
    { method, gone }: Pick<RouteRequest, "method" | "gone">,
    stream: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    if (this.#readers.size >= this.#maximum)
      throw new Problem(503, `${this.#maximum} clients ${this.#action} already`);
    gone.throwIfAborted();
    // The stream of a HEAD is never read, and so never ends. If another stream is never read, its client is gone.
    if (method !== "HEAD") {
      this.#readers.add(gone);
      gone.addEventListener("abort", () => this.#readers.delete(gone), { once: true });
    }
    return this.#read(gone, stream);
  }

  async *#read(gone: AbortSignal, stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* stream;
    } finally {
      this.#readers.delete(gone);
    }
  }
}
