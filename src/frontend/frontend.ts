/** Serves one protocol: reads requests from its sockets, passes them to the logic, and writes the responses. */
export interface Frontend {
  /** The name of its definition: `http`. */
  readonly name: string;
  /** Binds all addresses. Rejects if an address cannot be bound, with a message that names it; then no address is bound. */
  start(): Promise<void>;
  /** Returns the bound addresses as URLs: `udp://127.0.0.1:6969`. */
  urls(): string[];
  /**
   * Prepares a reload. Options that need a restart have their running values.
   * @returns a function that applies the options without closing a socket, and cannot fail
   * @throws Error if the frontend cannot apply the options while it runs
   */
  prepare(options: unknown): () => void;
  /**
   * Stops accepting requests, waits for requests in progress until `deadline` is aborted, then closes everything.
   * Idempotent. Also called after a failed start.
   */
  stop(deadline: AbortSignal): Promise<void>;
}
