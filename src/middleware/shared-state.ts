import type { PeerStore } from "../storage/peer-store.ts";

/** The options of a secondary store. */
export interface SecondaryStoreOptions {
  /** The maximum number of peers. Memory for them is reserved at start, but used only as peers arrive. */
  maxPeers: number;
  /** Seconds without an announce after which a peer expires. */
  peerLifetime: number;
  /** Seconds between two passes that remove expired peers. */
  gcInterval: number;
}

/**
 * State that the instances of one hook share across workers. Each worker creates its own hooks. Names belong to one hook
 * in the config, so two hooks of the same kind never collide. The state outlives a reload, and the death of a worker.
 */
export interface SharedState {
  /**
   * Whether this thread does the work that happens once for all threads, such as watching a file or polling a service. A
   * replacement of this thread takes over the work.
   */
  readonly isFirst: boolean;

  /** Returns the same memory in every worker, initially zero. The same name with another size is another memory. */
  buffer(name: string, bytes: number): Promise<SharedArrayBuffer>;

  /**
   * Returns a memory store beside the store of the tracker, over the same memory in every worker. The hook starts and
   * stops the store.
   */
  store(name: string, options: SecondaryStoreOptions): Promise<PeerStore>;

  /** Sends a value to the listeners of `topic` in all workers, including this one. Structured cloning must be able to copy the value. */
  publish(topic: string, value: unknown): void;

  /**
   * Calls `listener` with each published value, beginning at once with the latest value, if any.
   * @returns a function that ends the subscription
   */
  subscribe(topic: string, listener: (value: unknown) => void): () => void;
}
