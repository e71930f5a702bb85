import type { Address } from "../ip/address.ts";

/** The side of accepted connections that a frontend implements. `State` is the handler's data of one connection. */
export interface StreamHandler<State> {
  /** Called after a connection has been accepted; returns the state of the connection. */
  opened(connection: Connection): State;
  /** Called with the received bytes `bytes[start..end)`, which are valid until this returns. Must not throw. */
  received(state: State, bytes: Uint8Array, start: number, end: number): void;
  /** Called after the other side has sent its last byte. The other side may still read. */
  ended(state: State): void;
  /** Called when the connection is gone, for any reason. Called once, last. */
  closed(state: State): void;
  /** Called when the kernel has taken all waiting bytes. */
  drained(state: State): void;
  /**
   * A connection waits, and there are no descriptors left for it: closes another, if one can go. The native engine alone
   * asks; libuv closes the connection that waits.
   * @returns whether one was closed
   */
  makeRoom?(): boolean;
}

/** One accepted connection. */
export interface Connection {
  /** The client's address, canonical. Valid until `closed` has returned, or until {@link forgetRemote}. */
  readonly remote: Address;
  readonly remotePort: number;
  /** Bytes that the kernel has not taken yet. */
  readonly pending: number;
  /**
   * Sends `bytes[start..end)`. Bytes that cannot leave at once are copied and counted in `pending`. If sending fails,
   * the connection is closed, perhaps within this call.
   * @param isLast  whether `end` follows at once, so that one packet may carry the bytes and the end
   */
  write(bytes: Uint8Array, start: number, end: number, isLast?: boolean): void;
  /** Stops or resumes `received`. */
  pause(): void;
  resume(): void;
  /**
   * Closes the connection after all is sent.
   * @param discard  whether the other side may still be sending. If so, received bytes are thrown away until the other
   * side closes too: closing with unread bytes sends a reset, which destroys sent bytes as well
   */
  end(discard: boolean): void;
  /** Closes the connection now; with `reset`, the other side gets a reset. */
  destroy(reset?: boolean): void;
  /**
   * Gives up the memory of `remote`, which may be the address of another connection afterwards. For a handler that keeps the
   * connection for long. The native engine alone has the method.
   */
  forgetRemote?(): void;
}

/** A bound TCP address. */
export interface StreamListener {
  readonly port: number;
  /**
   * Checks certificate and key, and throws where they cannot be used, or where the listener has no TLS.
   * @returns what replaces those for new connections; it cannot fail
   */
  prepareTls(tls: TlsFiles): () => void;
  /** Stops accepting; open connections stay. Idempotent. */
  close(): Promise<void>;
}

/** A certificate chain and its key as PEM. */
export interface TlsFiles {
  cert: string | Uint8Array;
  key: string | Uint8Array;
}

export interface StreamOptions<State> {
  /** IP literal; `0.0.0.0` and `::` mean all addresses of that family. */
  host: string;
  /** 0 lets the system choose. */
  port: number;
  /** Makes connections TLS 1.2 or newer. */
  tls?: TlsFiles;
  /** TLS handshakes under way at once, which are no connections yet; 1,024 unless given. */
  maxHandshakes?: number;
  /** How many threads listen on the address; default 1. The kernel spreads clients over several threads. */
  threads?: number;
  handler: StreamHandler<State>;
  /** Called for errors that a listener reports by itself; these errors never close the listener. */
  onError: (error: Error) => void;
}
