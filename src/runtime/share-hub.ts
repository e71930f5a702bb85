import type { Clock, Random } from "../bittorrent/clock.ts";
import type { FurtherStoreOptions, SharedState } from "../middleware/shared-state.ts";
import type { StoreMemory } from "../storage/memory/memory.ts";
import { MemoryStore } from "../storage/memory/memory-store.ts";

/** What the hooks of all threads share, by name: what stands behind {@link SharedState}. */
export interface ShareHub {
  readonly isFirst: boolean;
  buffer(name: string, bytes: number): Promise<SharedArrayBuffer>;
  memory(name: string, options: FurtherStoreOptions): Promise<StoreMemory>;
  publish(topic: string, value: unknown): void;
  subscribe(topic: string, listener: Listener): () => void;
}

type Listener = (value: unknown) => void;

/** What a thread is, for the stores it makes. */
export interface ThreadParts {
  clock: Clock;
  random: Random;
  /** Names the thread in the locks of shared memory. */
  owner: number;
}

/** The topics of one thread: the last value of each, and who listens. */
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

/** The hub of a process: in the main thread, for its own hooks or for those of its workers. */
export class LocalHub implements ShareHub {
  readonly isFirst = true;
  readonly topics: Topics = new Topics();
  readonly #parts: Pick<ThreadParts, "clock" | "random">;
  readonly #buffers = new Map<string, SharedArrayBuffer>();
  readonly #memories = new Map<string, StoreMemory>();

  constructor(parts: Pick<ThreadParts, "clock" | "random">) {
    this.#parts = parts;
  }

  async buffer(name: string, bytes: number): Promise<SharedArrayBuffer> {
    const known = this.#buffers.get(name);
    if (known?.byteLength === bytes) return known;
    const made = new SharedArrayBuffer(bytes);
    this.#buffers.set(name, made);
    return made;
  }

  async memory(name: string, options: FurtherStoreOptions): Promise<StoreMemory> {
    const known = this.#memories.get(name);
    if (known?.maxPeers === options.maxPeers) return known;
    const { memory } = new MemoryStore({ ...this.#parts, config: { ...options, peerIds: false } });
    this.#memories.set(name, memory);
    return memory;
  }

  /** The memories of all further stores, whose locks a thread that has died may hold. */
  get memories(): Iterable<StoreMemory> {
    return this.#memories.values();
  }

  /** Copies the value, as between threads: what works in one works in several. */
  publish(topic: string, value: unknown): void {
    this.topics.deliver(topic, structuredClone(value));
  }

  subscribe(topic: string, listener: Listener): () => void {
    return this.topics.subscribe(topic, listener);
  }
}

/** What a worker asks of the process's hub. */
export type ShareAsk =
  | { share: "buffer"; name: string; bytes: number }
  | { share: "memory"; name: string; options: FurtherStoreOptions };

/** What a worker tells the process's hub; an ask is answered by a {@link ShareGive} with its `id`. */
export type ShareTell =
  | { tell: "share"; id: number; ask: ShareAsk }
  | { tell: "publish"; topic: string; value: unknown };

/** What the process's hub sends to a worker. */
export type ShareGive =
  | { give: "shared"; id: number; value: SharedArrayBuffer | StoreMemory }
  | { give: "failed"; id: number; error: string }
  | { give: "published"; topic: string; value: unknown };

/** The hub of a worker thread: asks the one of the process. What is published comes back to all in the same order. */
export class WorkerHub implements ShareHub {
  readonly isFirst: boolean;
  readonly #tell: (message: ShareTell) => void;
  readonly #topics: Topics;
  readonly #asked = new Map<number, PromiseWithResolvers<SharedArrayBuffer | StoreMemory>>();
  #nextId = 1;

  /** @param published  the last value of each topic */
  constructor(isFirst: boolean, published: ReadonlyMap<string, unknown>, tell: (message: ShareTell) => void) {
    this.isFirst = isFirst;
    this.#topics = new Topics(published);
    this.#tell = tell;
  }

  buffer(name: string, bytes: number): Promise<SharedArrayBuffer> {
    return this.#ask({ share: "buffer", name, bytes }) as Promise<SharedArrayBuffer>;
  }

  memory(name: string, options: FurtherStoreOptions): Promise<StoreMemory> {
    return this.#ask({ share: "memory", name, options }) as Promise<StoreMemory>;
  }

  publish(topic: string, value: unknown): void {
    this.#tell({ tell: "publish", topic, value });
  }

  subscribe(topic: string, listener: Listener): () => void {
    return this.#topics.subscribe(topic, listener);
  }

  take(message: ShareGive): void {
    if (message.give === "published") {
      this.#topics.deliver(message.topic, message.value);
      return;
    }
    const asked = this.#asked.get(message.id);
    this.#asked.delete(message.id);
    if (message.give === "shared") asked?.resolve(message.value);
    else asked?.reject(new Error(message.error));
  }

  #ask(ask: ShareAsk): Promise<SharedArrayBuffer | StoreMemory> {
    const id = this.#nextId++;
    const asked = Promise.withResolvers<SharedArrayBuffer | StoreMemory>();
    this.#asked.set(id, asked);
    this.#tell({ tell: "share", id, ask });
    return asked.promise;
  }
}

/** Answers for a worker. */
export async function answerShare(hub: LocalHub, id: number, ask: ShareAsk): Promise<ShareGive> {
  try {
    const value =
      ask.share === "buffer"
        ? await hub.buffer(ask.name, ask.bytes)
        : await hub.memory(ask.name, ask.options);
    return { give: "shared", id, value };
  } catch (error) {
    return { give: "failed", id, error: (error as Error).message };
  }
}

/** What one hook sees of the hub. @param prefix  keeps its names apart from those of other hooks */
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
