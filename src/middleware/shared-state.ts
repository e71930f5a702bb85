import type { PeerStore } from "../storage/peer-store.ts";

/** What a further store is told. */
export interface SecondaryStoreOptions {
  /** Most peers that it keeps; the memory for them is reserved, and used only as they come. */
  maxPeers: number;
  /** Seconds without an announce after which a peer is forgotten. */
  peerLifetime: number;
  /** Seconds between two searches for peers to forget. */
  gcInterval: number;
}

/**
 * What a hook shares with itself in the other workers. Each worker thread makes its own hooks; names are those of one
 * hook of the configuration, so that two of the same kind do not meet. What is behind a name outlives a reload, and a
 * worker that dies.
 */
export interface SharedState {
  /**
   * Whether this thread is the one that does what is to be done once for all: watch a file, poll a service. Another that
   * replaces it when it dies does it too.
   */
  readonly isFirst: boolean;

  /** The same memory in every worker, zeroed when it is made. The same name with another size is another memory. */
  buffer(name: string, bytes: number): Promise<SharedArrayBuffer>;

  /**
   * A store of the memory kind beside the tracker's own, over the same memory in every worker. The hook starts and stops
   * it.
   */
  store(name: string, options: SecondaryStoreOptions): Promise<PeerStore>;

  /** Gives a value, which structured cloning must be able to copy, to the listeners of `topic` in all workers, this one too. */
  publish(topic: string, value: unknown): void;

  /**
   * Hears what is published; first, at once, the last that was, if any was.
   * @returns how to stop listening
   */
  subscribe(topic: string, listener: (value: unknown) => void): () => void;
}
