import type { Address } from "../ip/address.ts";

/** What a frontend is to accepted connections. `State` is what it keeps for each of them. */
export interface StreamHandler<State> {
  /** A connection has been accepted; returns what to keep for it. */
  opened(connection: Connection): State;
  /** Bytes have arrived: `bytes[start..end)`, valid until this returns. Must not throw. */
  received(state: State, bytes: Uint8Array, start: number, end: number): void;
  /** The other side will send nothing more; it may still read. */
  ended(state: State): void;
  /** The connection is gone, for whatever reason. Called once, last. */
  closed(state: State): void;
  /** All that was waiting to be sent has been taken by the kernel. */
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
  /** Where it comes from, canonical. Valid until `closed` has returned. */
  readonly remote: Address;
  readonly remotePort: number;
  /** Bytes that the kernel has not taken yet. */
  readonly pending: number;
  /**
   * Sends `bytes[start..end)`; what cannot leave at once is copied and counted in `pending`. If they cannot be sent at all,
   * the connection is closed, perhaps within this call.
   * @param isLast  whether `end` follows at once, so that both may travel in one packet
   */
  write(bytes: Uint8Array, start: number, end: number, isLast?: boolean): void;
  /** Stops or resumes `received`. */
  pause(): void;
  resume(): void;
  /**
   * Closes when all is sent.
   * @param discard  whether the other side may still be sending: what comes is read and thrown away until it closes
   *   too, because closing with unread bytes is a reset, and takes what was sent with it
   */
  end(discard: boolean): void;
  /** Closes now; with `reset` the other side sees a reset. */
  destroy(reset?: boolean): void;
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
  /** IP literal; `0.0.0.0` and `::` are all addresses of that family. */
  host: string;
  /** 0 lets the system choose. */
  port: number;
  /** With it, connections are TLS 1.2 or newer. */
  tls?: TlsFiles;
  /** TLS handshakes under way at once, which are no connections yet; 1,024 unless given. */
  maxHandshakes?: number;
  /** Whether other threads listen on the same address too, so that the kernel spreads clients over them. */
  shared?: boolean;
  handler: StreamHandler<State>;
  /** Hears of errors that a listener reports on its own; they never end it. */
  onError: (error: Error) => void;
}
