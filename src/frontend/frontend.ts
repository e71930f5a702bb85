/** Speaks one protocol: takes requests from its sockets, has the logic decide, writes the responses. */
export interface Frontend {
  /** As in its definition: `http`. */
  readonly name: string;
  /** Binds all addresses, or none: rejects with a message that names the address. */
  start(): Promise<void>;
  /** The addresses that are bound, as URLs: `udp://127.0.0.1:6969`. */
  urls(): string[];
  /**
   * Checks options that a reload has changed, and throws where the frontend cannot take them while it runs. Options that are
   * marked as needing a restart are as they were.
   * @returns what takes the options, without closing a socket; it cannot fail
   */
  prepare(options: unknown): () => void;
  /**
   * Stops accepting, lets requests under way finish until `deadline` is aborted, then closes everything.
   * Idempotent. Also called where the start has failed.
   */
  stop(deadline: AbortSignal): Promise<void>;
}
