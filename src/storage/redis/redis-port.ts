/** A part of a command. */
export type RedisArgument = string | Buffer;

/** One server that accepts commands. */
export interface RedisNode {
  /**
   * Sends one command; the commands of one turn of the event loop share a packet.
   * @returns the reply: strings as Buffers, numbers, null, arrays of those
   * @throws Error with Redis's own text (`NOSCRIPT ...`), with a problem of the connection, or after the read timeout
   */
  send(args: readonly RedisArgument[]): Promise<unknown>;
  /** Returns whether this server probably has `key`; absent if the server has all keys. */
  owns?(key: Buffer): boolean;
}

/**
 * A connection to Redis, for any client library and any number of servers. Reconnects by itself. Sends each command
 * once: a broken connection rejects its pending commands, and never repeats them, unless a cluster has a new primary
 * for the slot. Keeps no commands while there is no connection.
 */
export interface RedisPort {
  /** Whether the keys are spread over several servers: then all keys of a command must be on one server. */
  readonly isCluster: boolean;
  /** Resolves when commands can be sent; rejects after the connect timeout. May be called again. */
  connect(): Promise<void>;
  /** Sends one command to the server that has `key`, following redirections. */
  send(key: Buffer, args: readonly RedisArgument[]): Promise<unknown>;
  /** Returns the known servers that together hold all keys. */
  masters(): RedisNode[] | Promise<RedisNode[]>;
  /**
   * Subscribes to a channel, on a connection of its own that reconnects and subscribes again by itself.
   * @returns a function that closes that connection; undefined in a port that cannot subscribe
   */
  subscribe?(channel: string, receive: (message: Buffer) => void): Promise<() => void>;
  /** Replaces connections that do not respond, since a dead path may go unreported. */
  renew(): void;
  /** Closes all connections; pending commands are rejected. */
  close(): void;
}
