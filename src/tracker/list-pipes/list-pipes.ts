import { setImmediate } from "node:timers/promises";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { infoHashLength, parseInfoHash } from "../../bittorrent/info-hash.ts";
import { unapprovedTorrent } from "../../hooks/torrent-approval/errors.ts";
import { DoubleBuffer } from "../../lib/double-buffer.ts";
import { HashSet } from "../../lib/hash-set.ts";
import type { Hook } from "../../middleware/hook.ts";
import type { Logger } from "../../observability/logger.ts";
import type { Counter, Metrics } from "../../observability/metrics.ts";
import type { PeerStore } from "../../storage/peer-store.ts";
import type { ShareHub } from "../share-hub.ts";
import { PipeReader } from "./pipe-reader.ts";

/** Words of an infohash. */
const width = infoHashLength / 4;
/** Maximum number of infohashes that the pipes can change between two reloads. */
const maxChanges = 100_000;

/** The collaborators of the pipes. */
export interface ListPipesDeps {
  readonly hub: ShareHub;
  readonly store: Pick<PeerStore, "remove">;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Paths of the named pipes; "" for none. */
export interface ListPipesOptions {
  readonly fifoAdd: string;
  readonly fifoDelete: string;
}

/** Pipes that read now, and before them those that they have replaced; of each process or program, in the thread that reads. */
const readers = new WeakMap<ShareHub, ListPipes[]>();

/**
 * Wraps the hook `torrent approval`: infohashes from a named pipe are added to its list, those from another are removed from
 * it. The changes win over the list, apply in all workers, and end with a reload.
 * @param isWhitelist  whether the hook has a whitelist
 */
export async function withListPipes(
  hook: Hook,
  isWhitelist: boolean,
  options: ListPipesOptions,
  deps: ListPipesDeps,
): Promise<Hook> {
  const memory = await deps.hub.buffer(
    "list pipes",
    DoubleBuffer.bytes(2 * HashSet.words(width, maxChanges)),
  );
  const changes = new ListChanges(memory);
  const pipes = new ListPipes(options, changes, isWhitelist, deps);
  const approve = (listed: boolean): ClientError | undefined =>
    listed === isWhitelist ? undefined : unapprovedTorrent;
  return {
    name: hook.name,
    handleAnnounce(request, response, context) {
      const listed = changes.find(request.infoHashWords, 0);
      return listed === undefined ? hook.handleAnnounce?.(request, response, context) : approve(listed);
    },
    handleScrape(request, response, context) {
      const wasHidden = Array.from({ length: request.count }, (_, i) => request.isHidden(i));
      const result = hook.handleScrape?.(request, response, context);
      for (let i = 0; i < request.count; i++) {
        const listed = changes.find(request.infoHashWords, i * width);
        if (listed === undefined) continue;
        if (approve(listed) !== undefined) request.hide(i);
        else if (!wasHidden[i]) request.show(i);
      }
      return result;
    },
    ready: () => hook.ready?.() ?? true,
    async start() {
      await hook.start?.();
      if (deps.hub.isFirst) await pipes.start();
    },
    async stop() {
      pipes.stop();
      await hook.stop?.();
    },
  };
}

/** The changes in memory that the workers share: a set of added and a set of removed infohashes, twice. */
class ListChanges {
  readonly #memory: DoubleBuffer;
  readonly #sets: readonly { readonly added: HashSet; readonly removed: HashSet }[];

  constructor(memory: SharedArrayBuffer) {
    this.#memory = new DoubleBuffer(memory);
    const words = HashSet.words(width, maxChanges);
    this.#sets = this.#memory.halves.map((half) => ({
      added: new HashSet(width, half.subarray(0, words)),
      removed: new HashSet(width, half.subarray(words)),
    }));
  }

  /** Returns whether an infohash is listed; undefined if no pipe has named it. Never allocates. */
  find(words: Int32Array, at: number): boolean | undefined {
    for (;;) {
      const { generation } = this.#memory;
      if (generation === 0) return undefined;
      const { added, removed } = this.#sets[generation & 1]!;
      const isAdded = added.has(words, at);
      const isRemoved = !isAdded && removed.has(words, at);
      if (this.#memory.generation === generation) return isAdded || isRemoved ? isAdded : undefined;
    }
  }

  /** Replaces all changes, in steps. */
  async write(changes: ReadonlyMap<string, boolean>): Promise<void> {
    const next = this.#sets[(this.#memory.generation & 1) ^ 1]!;
    for (const isListed of [true, false]) {
      const chosen = [...changes].filter(([, listed]) => listed === isListed).map(([infoHash]) => infoHash);
      const words = new Int32Array(chosen.length * width);
      const bytes = new Uint8Array(words.buffer);
      for (const [i, infoHash] of chosen.entries()) bytes.set(parseInfoHash(infoHash)!, i * infoHashLength);
      const set = isListed ? next.added : next.removed;
      for (const _ of set.write([words], chosen.length)) await setImmediate();
    }
    this.#memory.swap();
  }
}

type Result = "taken" | "invalid" | "full";

/** Reads the pipes and keeps the changes, in one thread. */
class ListPipes {
  readonly #options: ListPipesOptions;
  readonly #changes: ListChanges;
  readonly #isWhitelist: boolean;
  readonly #deps: ListPipesDeps;
  readonly #count: (pipe: string, result: Result) => Counter;
  /** Whether each infohash, in lower case, is listed. */
  readonly #listed = new Map<string, boolean>();
  /** Infohashes whose swarms are to be removed after the next write. */
  #refused: string[] = [];
  #open: PipeReader[] = [];
  #writing: Promise<void> | undefined;
  #isDirty = false;

  constructor(options: ListPipesOptions, changes: ListChanges, isWhitelist: boolean, deps: ListPipesDeps) {
    this.#options = options;
    this.#changes = changes;
    this.#isWhitelist = isWhitelist;
    this.#deps = deps;
    this.#count = (pipe, result) =>
      deps.metrics.counter(
        "chihaya_list_pipe_lines_total",
        "Lines from the named pipes of the list of torrents",
        {
          ...{ pipe, result },
        },
      );
    for (const pipe of ["add", "delete"])
      for (const result of ["taken", "invalid", "full"] as const) this.#count(pipe, result);
  }

  /** Begins to read, and ends the changes of earlier pipes. */
  async start(): Promise<void> {
    const all = readers.get(this.#deps.hub) ?? [];
    readers.set(this.#deps.hub, all);
    all.at(-1)?.pause();
    all.push(this);
    await this.resume();
  }

  /** Stops reading. If a reload was refused, the earlier pipes read again. */
  stop(): void {
    this.pause();
    const all = readers.get(this.#deps.hub) ?? [];
    const at = all.indexOf(this);
    if (at < 0) return;
    const wasLast = at === all.length - 1;
    all.splice(at, 1);
    const earlier = all.at(-1);
    if (!wasLast || earlier === undefined) return;
    earlier.resume().catch((err) => this.#deps.logger.error({ err }, "named pipe of a list"));
  }

  /** Stops reading until {@link resume}. */
  pause(): void {
    for (const pipe of this.#open.splice(0)) pipe.close();
  }

  /** Makes the own changes effective, and reads. */
  async resume(): Promise<void> {
    const { fifoAdd, fifoDelete } = this.#options;
    await this.#write();
    for (const [path, pipe, isListed] of [
      [fifoAdd, "add", true],
      [fifoDelete, "delete", false],
    ] as const) {
      if (path === "") continue;
      this.#open.push(await PipeReader.open(path, (line) => this.#take(line, pipe, isListed)));
    }
  }

  #take(line: string, pipe: string, isListed: boolean): void {
    const infoHash = /^([0-9a-f]{40})(?![0-9a-f])/i.exec(line)?.[1]?.toLowerCase();
    const isFull = infoHash !== undefined && !this.#listed.has(infoHash) && this.#listed.size >= maxChanges;
    this.#count(pipe, infoHash === undefined ? "invalid" : isFull ? "full" : "taken").inc();
    if (infoHash === undefined || isFull) return;
    this.#listed.set(infoHash, isListed);
    if (isListed !== this.#isWhitelist) this.#refused.push(infoHash);
    void this.#write().catch((err) => this.#deps.logger.error({ err }, "named pipe of a list"));
  }

  /** Makes the changes effective. Lines that arrive meanwhile are written together afterwards. */
  #write(): Promise<void> {
    this.#isDirty = true;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#isDirty) {
      this.#isDirty = false;
      const refused = this.#refused;
      this.#refused = [];
      await this.#changes.write(this.#listed);
      for (const infoHash of refused) {
        if (this.#listed.get(infoHash) !== this.#isWhitelist)
          await this.#deps.store.remove(parseInfoHash(infoHash)!);
      }
    }
  }
}
