/** What a command is made of. */
export type RedisArgument = string | Buffer;

/** One server that commands can be sent to. */
export interface RedisNode {
  /**
   * Sends one command; those of one turn of the event loop share a packet.
   * @returns the reply: strings as Buffers, numbers, null, arrays of those
   * @throws Error with the engine's own text (`NOSCRIPT ...`), or with what is wrong with the connection, or without an
   *   answer in time
   */
  send(args: readonly RedisArgument[]): Promise<unknown>;
  /** Whether this server has `key`, as far as is known; absent where it has all. */
  owns?(key: Buffer): boolean;
}

/**
 * A connection to the engine, whichever client makes it and however many servers are behind it. It reconnects by
 * itself. A command is sent once: what was under way when a connection broke is rejected, never repeated, and
 * nothing is kept for later while there is no connection.
 */
export interface RedisPort {
  /** Whether keys live on several servers: then a command has keys of one of them only. */
  readonly isCluster: boolean;
  /** Resolves when commands can be sent, rejects when that takes too long. Can be called again. */
  connect(): Promise<void>;
  /** Sends one command to the server that has `key`, after redirections. */
  send(key: Buffer, args: readonly RedisArgument[]): Promise<unknown>;
  /** The servers that hold all keys together, as they are known now. */
  masters(): RedisNode[] | Promise<RedisNode[]>;
  /** Takes new connections in the place of those that do not answer: their path may be dead without anybody saying so. */
  renew(): void;
  /** Lets go of all connections; commands under way are rejected. */
  close(): void;
}
