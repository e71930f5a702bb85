import type { Clock, Random } from "../lib/clock.ts";
import type { SecondaryStoreOptions, SharedState } from "../middleware/shared-state.ts";
import type { StoreMemory } from "../storage/memory/layout.ts";
import { MemoryStore } from "../storage/memory/memory-store.ts";

/** State that the hooks of all threads share, by name. {@link SharedState} is the part of one hook. */
export interface ShareHub {
  readonly isFirst: boolean;
  buffer(name: string, bytes: number): Promise<SharedArrayBuffer>;
  memory(name: string, options: SecondaryStoreOptions): Promise<StoreMemory>;
  /**
   * Runs a reload. Memory that is replaced by memory of another size stays until the reload is over. If the reload fails, the old
   * memory is used again.
   */
  reload<Result>(work: () => Promise<Result>): Promise<Result>;
  publish(topic: string, value: unknown): void;
  subscribe(topic: string, listener: Listener): () => void;
}

type Listener = (value: unknown) => void;

/** What the stores of a thread need. */
export interface ThreadParts {
  clock: Clock;
  random: Random;
  /** Identifies the thread in the locks of shared memory. */
  owner: number;
}

/** What the hub of a process needs. */
interface HubParts extends Pick<ThreadParts, "clock" | "random"> {
  /** Whether the tracker is private, see `StoreDeps`. */
  isPrivate?: boolean;
}

/** The topics of one thread, with the last value and the listeners of each. */
export class Topics {
  readonly last: Map<string, unknown>;
  readonly #listeners = new Map<string, Set<Listener>>();

  constructor(last: ReadonlyMap<string, unknown> = new Map()) {
    this.last = new Map(last);
  }

  deliver(topic: string, value: unknown): void {
    this.last.set(topic, value);
    for (const listener of this.#listeners.get(topic) ?? []) listener(value);
  }

  subscribe(topic: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    if (this.last.has(topic)) listener(this.last.get(topic));
    return () => listeners.delete(listener);
  }
}

/** The hub of a process, in the main thread. Serves the hooks of the main thread, or those of all workers. */
export class LocalHub implements ShareHub {
  readonly isFirst = true;
  readonly topics: Topics = new Topics();
  readonly #parts: HubParts;
  /** By name, the oldest first. Only during a reload there is more than one for a name. */
  readonly #buffers = new Map<string, SharedArrayBuffer[]>();
  readonly #memories = new Map<string, StoreMemory[]>();

  constructor(parts: HubParts) {
    this.#parts = parts;
  }

  async buffer(name: string, bytes: number): Promise<SharedArrayBuffer> {
    const fits = ({ byteLength }: SharedArrayBuffer): boolean => byteLength === bytes;
    return findOrMake(this.#buffers, name, fits, () => new SharedArrayBuffer(bytes));
  }

  async memory(name: string, options: SecondaryStoreOptions): Promise<StoreMemory> {
    const fits = ({ maxPeers }: StoreMemory): boolean => maxPeers === options.maxPeers;
    const config = { ...options, peerIds: false, tags: this.#parts.isPrivate ?? false };
    return findOrMake(this.#memories, name, fits, () => new MemoryStore({ ...this.#parts, config }).memory);
  }

  /** The memory of all secondary stores. A thread that has died may hold locks in it. */
  get memories(): StoreMemory[] {
    return [...this.#memories.values()].flat();
  }

  async reload<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      const result = await work();
      this.#keep(-1);
      return result;
    } catch (error) {
      this.#keep(0);
      throw error;
    }
  }

  /** Drops all memory but the first or the last of each name. */
  #keep(which: 0 | -1): void {
    for (const [name, known] of this.#buffers) this.#buffers.set(name, [known.at(which)!]);
    for (const [name, known] of this.#memories) this.#memories.set(name, [known.at(which)!]);
  }

  /** Copies the value, as between threads, so that a hook that works in one thread works in several. */
  publish(topic: string, value: unknown): void {
    this.topics.deliver(topic, structuredClone(value));
  }

  subscribe(topic: string, listener: Listener): () => void {
    return this.topics.subscribe(topic, listener);
  }
}

function findOrMake<Memory>(
  all: Map<string, Memory[]>,
  name: string,
  fits: (memory: Memory) => boolean,
  make: () => Memory,
): Memory {
  const known = all.get(name) ?? [];
  const found = known.find(fits);
  if (found !== undefined) return found;
  const made = make();
  all.set(name, [...known, made]);
  return made;
}

/** One value of a topic. */
export interface Publication {
  topic: string;
  value: unknown;
}

/** The hub of the process, as a worker thread calls it. */
export interface ProcessHub {
  buffer(args: { name: string; bytes: number }): Promise<SharedArrayBuffer>;
  memory(args: { name: string; options: SecondaryStoreOptions }): Promise<StoreMemory>;
  /** Sends a value to the hubs of all workers, this one included. */
  publish(publication: Publication): void;
}

/** The hub of a worker thread, which calls the hub of the process. All workers receive publications in the same order. */
export class WorkerHub implements ShareHub {
  readonly isFirst: boolean;
  readonly #process: ProcessHub;
  readonly #topics: Topics;

  /** @param published  the last value of each topic */
  constructor(isFirst: boolean, published: ReadonlyMap<string, unknown>, process: ProcessHub) {
    this.isFirst = isFirst;
    this.#topics = new Topics(published);
    this.#process = process;
  }

  buffer(name: string, bytes: number): Promise<SharedArrayBuffer> {
    return this.#process.buffer({ name, bytes });
  }

  memory(name: string, options: SecondaryStoreOptions): Promise<StoreMemory> {
    return this.#process.memory({ name, options });
  }

  /** Does the work only: the hub of the process keeps track of a reload of all workers. */
  reload<Result>(work: () => Promise<Result>): Promise<Result> {
    return work();
  }

  publish(topic: string, value: unknown): void {
    this.#process.publish({ topic, value });
  }

  subscribe(topic: string, listener: Listener): () => void {
    return this.#topics.subscribe(topic, listener);
  }

  /** Takes a publication of the hub of the process. */
  deliver({ topic, value }: Publication): void {
    this.#topics.deliver(topic, value);
  }
}

/**
 * Returns the prefix of the names of a hook: its own name, with a number from the second hook of that name on. So two hooks
 * of one name share nothing.
 * @param used  how many hooks of each name there are so far; counts this hook
 */
export function scopeOf(name: string, used: Map<string, number>): string {
  const count = (used.get(name) ?? 0) + 1;
  used.set(name, count);
  return count === 1 ? name : `${name} ${count}`;
}

/** Returns the part of the hub that belongs to one hook. @param prefix  distinguishes its names from those of other hooks */
export function createSharedState(hub: ShareHub, prefix: string, parts: ThreadParts): SharedState {
  const scoped = (name: string) => `${prefix}/${name}`;
  return {
    isFirst: hub.isFirst,
    buffer: (name, bytes) => hub.buffer(scoped(name), bytes),
    store: async (name, options) =>
      new MemoryStore({
        ...parts,
        config: { ...options, peerIds: false },
        memory: await hub.memory(scoped(name), options),
        expires: hub.isFirst,
      }),
    publish: (topic, value) => hub.publish(scoped(topic), value),
    subscribe: (topic, listener) => hub.subscribe(scoped(topic), listener),
  };
}
