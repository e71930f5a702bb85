/** A protocol's door: takes requests from its sockets, asks the logic, writes the responses. */
export interface Frontend {
  /** `http` or `udp`. */
  readonly name: string;
  /** Binds all addresses, or none: rejects with a message that names the address. */
  start(): Promise<void>;
  /** The addresses that are bound, as URLs: `udp://127.0.0.1:6969`. */
  urls(): string[];
  /**
   * Stops accepting, lets requests under way finish until `deadline` is aborted, then closes everything.
   * Idempotent.
   */
  stop(deadline: AbortSignal): Promise<void>;
}
