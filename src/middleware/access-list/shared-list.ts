import { DoubleBuffer } from "../../lib/double-buffer.ts";
import { Pace } from "../../lib/pace.ts";
import { Turns } from "../../lib/turns.ts";
import { withTimeout } from "../../lib/with-timeout.ts";
import type { HookDeps } from "../define-hook.ts";
import type { ListCollector, ListFormat, ListKind } from "./list-format.ts";
import { FileSource, type ListSource, type OpenList, type SourceState, UrlSource } from "./list-source.ts";
import { ListError, readList } from "./read-list.ts";

/** Sources of lists, and how often to check them. */
export interface ListOptions {
  /** Paths of files, and URLs of `http:` or `https:`. */
  whitelistFrom: readonly string[];
  blacklistFrom: readonly string[];
  /** Seconds between two checks of the files. */
  checkInterval: number;
  /** Seconds between two requests for a URL. */
  fetchInterval: number;
  /** Maximum number of entries of all sources together; memory for twice as many is reserved. */
  maxEntries: number;
  /** Whether requests are refused or allowed until a list has been loaded. */
  onFailure: "refuse" | "allow";
}

/** Serializes the lists of a thread: only one of them is written at a time. */
const writes = new Turns();

/** The lists that this thread keeps up to date. */
const running = new Set<SharedList>();

/** How long a start waits for the lists, in milliseconds. Loading continues after that. */
const startWaitMs = 5000;
/** How long another thread waits at its start for the first thread, in milliseconds. */
const waitMs = 10_000;

interface Source {
  readonly kind: ListKind;
  readonly source: ListSource;
  /** Why the source is unusable; undefined if it is usable. */
  problem: string | undefined;
}

/**
 * A list from files and URLs in memory that all workers share. The first worker checks the sources. If one has changed,
 * the worker reads all sources again, in small steps, and swaps the whole list at once. The other workers read the memory.
 *
 * If a source fails, the present list stays in use as a whole; a log line and a counter report the failure.
 */
export class SharedList {
  readonly memory: DoubleBuffer;
  readonly #name: string;
  readonly #format: ListFormat;
  readonly #fixed: readonly { kind: ListKind; text: string }[];
  readonly #options: ListOptions;
  readonly #deps: HookDeps;
  readonly #onSwap: SwapListener | undefined;
  readonly #sources: Source[];
  readonly #stopped = new AbortController();
  readonly #loads: Record<"loaded" | "failed", () => void>;
  #timer: NodeJS.Timeout | undefined;
  /** Identifies this object as the writer of the memory. */
  readonly #id: number;
  /** The previous writer. */
  #before = 0;
  /** The generation that this object has written; -1 while a change that it has seen is not in a generation. */
  #written = -1;
  /** The work that follows a swap. Other lists do not wait for this work. */
  #following: Promise<void> | undefined;
  #withdrawals: (() => void)[] = [];

  private constructor(memory: SharedArrayBuffer, parts: SharedListParts, deps: HookDeps) {
    const { name, format, options, fixed, onSwap } = parts;
    this.memory = new DoubleBuffer(memory);
    this.#format = format;
    this.#fixed = fixed;
    this.#options = options;
    this.#deps = deps;
    this.#onSwap = onSwap;
    this.#sources = sourcesOf(options);
    const { metrics, random } = deps;
    this.#id = random.next() | 0 || 1;
    this.#name = name;
    const help = "Loads of a hook's lists, by result";
    const count = (result: string) =>
      metrics.counter("chihaya_access_list_loads_total", help, { hook: name, result });
    const [loaded, failed] = [count("loaded"), count("failed")];
    this.#loads = { loaded: () => loaded.inc(), failed: () => failed.inc() };
  }

  static async create(parts: SharedListParts, deps: HookDeps): Promise<SharedList> {
    const words = parts.format.words(parts.options.maxEntries);
    const memory = await deps.shared.buffer(parts.memory, DoubleBuffer.bytes(words));
    return new SharedList(memory, parts, deps);
  }

  /** Whether a list is loaded. Without a list, the option `on_failure` decides about requests. */
  get isLoaded(): boolean {
    return this.memory.generation !== 0;
  }

  ready(): true | string {
    return this.isLoaded || "no list could be loaded";
  }

  /** Loads the list, or waits for the first worker to try, for a limited time. Then checks the sources regularly. */
  async start(): Promise<void> {
    const { shared } = this.#deps;
    if (!shared.isFirst) return this.#waitForFirst();
    this.#before = this.memory.writer;
    this.memory.writer = this.#id;
    const checked = this.check();
    await withTimeout(startWaitMs, checked).catch(() => this.#warnLate());
    this.#show();
    shared.publish("tried", this.#id);
    void checked.then(() => this.#schedule());
  }

  #warnLate(): void {
    if (this.isLoaded) return;
    const { onFailure } = this.#options;
    const message = `no list within ${startWaitMs / 1000} s: on_failure (${onFailure}) applies until a list is loaded`;
    this.#deps.logger.warn({}, message);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    running.delete(this);
    for (const withdraw of this.#withdrawals) withdraw();
    this.#stopped.abort(new Error("stopped"));
    // After a refused reload, the previous writer continues.
    if (this.#isWriter) this.memory.writer = this.#before;
    await writes.ended();
    await this.#following;
  }

  /** Entries of the list in use. A writer that takes the place of another knows them before it has read the sources. */
  get #entries(): number {
    return this.memory.notes[0]!;
  }

  /** When the list in use last agreed with its sources, in seconds since 1970; 0 before the first time. */
  get #lastSuccess(): number {
    return this.memory.notes[1]! >>> 0;
  }

  #note(entries: number): void {
    this.memory.notes[0] = entries;
    this.memory.notes[1] = this.#deps.clock.unixSeconds;
  }

  /** Registers the gauges. Two hooks of one name share a gauge, which covers both. */
  #show(): void {
    running.add(this);
    const { metrics } = this.#deps;
    const gauge = (suffix: string, help: string, read: (lists: SharedList[]) => number) => {
      const name = `chihaya_access_list_${suffix}`;
      this.#withdrawals.push(metrics.gauge(name, help, () => read(this.#shown()), { hook: this.#name }));
    };
    const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
    gauge("entries", "Entries of a hook's lists", (lists) => sum(lists.map((list) => list.#entries)));
    gauge(
      "last_success_timestamp_seconds",
      "Time at which a hook's lists last agreed with their sources, in seconds since 1970",
      (lists) => Math.min(...lists.map((list) => list.#lastSuccess)),
    );
    gauge("failing_sources", "Files and URLs with an unusable list", (lists) =>
      sum(lists.map((list) => list.#sources.filter(({ problem }) => problem !== undefined).length)),
    );
  }

  /** Returns the lists of the hooks of this name, without those whose memory a reload has just taken over. */
  #shown(): SharedList[] {
    const alike = [...running].filter(
      (list) => list.#name === this.#name && list.#deps.metrics === this.#deps.metrics,
    );
    const writers = alike.map((list) => list.#id);
    return alike.filter((list) => list.#isWriter || !writers.includes(list.memory.writer));
  }

  /** Whether this object is the latest writer; during a reload the old one still exists. */
  get #isWriter(): boolean {
    return this.memory.writer === this.#id;
  }

  /** Checks for changes now, and loads them. Never rejects. */
  async check(): Promise<void> {
    if (!this.#isWriter) return;
    const { signal } = this.#stopped;
    const opened: (OpenList | undefined)[] = [];
    try {
      let hasFailed = false;
      for (const state of await Promise.all(this.#sources.map((each) => this.#openIfChanged(each, false)))) {
        hasFailed ||= state === "failed";
        opened.push(typeof state === "object" ? state : undefined);
      }
      const hasOpened = opened.some((list) => list !== undefined);
      if (hasOpened) this.#written = -1;
      if (hasFailed) return;
      const isSound = this.#sources.every(({ problem }) => problem === undefined);
      if (this.#written === this.memory.generation) {
        if (isSound) this.#note(this.#entries);
        return;
      }
      if (!hasOpened && !isSound) return;
      await this.#load(opened);
    } catch (error) {
      if (!signal.aborted) this.#deps.logger.error({ err: error }, "list not loaded");
    } finally {
      for (const list of opened) await list?.close().catch(() => undefined);
    }
  }

  async #waitForFirst(): Promise<void> {
    const tried = Promise.withResolvers<void>();
    const timer = setTimeout(tried.resolve, waitMs);
    const unsubscribe = this.#deps.shared.subscribe("tried", (writer) => {
      // A message from before a reload concerns other memory.
      if (this.isLoaded || writer === this.memory.writer) tried.resolve();
    });
    await tried.promise;
    clearTimeout(timer);
    unsubscribe();
  }

  #schedule(): void {
    if (this.#stopped.signal.aborted) return;
    this.#timer = setTimeout(async () => {
      await this.check();
      await this.#following;
      this.#schedule();
    }, this.#options.checkInterval * 1000).unref();
  }

  /** Opens a source if it has changed, or if forced. */
  async #openIfChanged(each: Source, isForced: boolean): Promise<SourceState | "failed"> {
    try {
      const state = await each.source.open(isForced, this.#stopped.signal);
      if (state === "same") each.problem = undefined;
      return state;
    } catch (error) {
      this.#fail(each, error);
      return "failed";
    }
  }

  /** Reads all sources, opens the closed ones, and swaps the halves. */
  async #load(opened: (OpenList | undefined)[]): Promise<void> {
    const pace = new Pace();
    const list = this.#format.collect();
    for (const kind of ["whitelist", "blacklist"] as const) {
      for (const fixed of this.#fixed) {
        const bytes = Buffer.from(fixed.text);
        if (fixed.kind === kind) list.add(bytes, 0, bytes.length, kind);
      }
      for (const [i, each] of this.#sources.entries()) {
        if (each.kind !== kind) continue;
        const open = opened[i] ?? (await this.#openIfChanged(each, true));
        if (typeof open !== "object") return;
        opened[i] = open;
        if (!(await this.#read(each, open, list, pace))) return;
      }
    }
    const { signal } = this.#stopped;
    const swap = async () => {
      if (signal.aborted || !this.#isWriter) return;
      const { generation, halves } = this.memory;
      const [old, next] = generation & 1 ? [halves[1], halves[0]] : [halves[0], halves[1]];
      await pace.run(list.write(next));
      this.memory.swap();
      this.#written = this.memory.generation;
      this.#note(list.size);
      for (const [i, each] of this.#sources.entries()) {
        opened[i]?.accept();
        each.problem = undefined;
      }
      this.#loads.loaded();
      this.#deps.logger.info({ entries: list.size }, "list loaded");
      return this.#onSwap?.(generation === 0 ? undefined : old, next, pace, signal);
    };
    const follow = await writes.take(swap);
    this.#following = follow?.();
  }

  /** Reads one source. @returns whether the source was readable */
  async #read(each: Source, open: OpenList, list: ListCollector, pace: Pace): Promise<boolean> {
    const { maxEntries } = this.#options;
    try {
      const take = (bytes: Uint8Array, start: number, end: number) => {
        if (list.size >= maxEntries) return `more entries than max_entries allows (${maxEntries})`;
        return list.add(bytes, start, end, each.kind);
      };
      await readList(open.chunks, take, pace);
      await open.finish();
      return true;
    } catch (error) {
      this.#fail(each, error);
      return false;
    }
  }

  /** Reports the problem of a source, once. */
  #fail(each: Source, error: unknown): void {
    if (this.#stopped.signal.aborted) return;
    this.#loads.failed();
    const place = error instanceof ListError ? `${each.source.name}:${error.line}` : each.source.name;
    const problem = `${place}: ${(error as Error).message}`;
    if (problem === each.problem) return;
    each.problem = problem;
    const { onFailure } = this.#options;
    const instead = this.isLoaded
      ? "the previous list stays in use"
      : `no list yet: on_failure (${onFailure}) applies`;
    this.#deps.logger.error({}, `list not loaded: ${problem}; ${instead}`);
  }
}

/** The parts of a list. */
export interface SharedListParts {
  /** The name of the hook in metrics. */
  name: string;
  /** The name of the memory within the hook. Its contents must mean the same after a reload. */
  memory: string;
  format: ListFormat;
  options: ListOptions;
  /** Entries that are always in the list. The caller has checked them. */
  fixed: readonly { kind: ListKind; text: string }[];
  /** Called in the first worker after each swap, before the next write; `old` is undefined for the first swap. */
  onSwap?: SwapListener;
}

/**
 * Called after a swap. The memory of `old` stays unchanged until the returned promise has settled.
 * @returns the work that follows the swap, which must not reject; only the next check of this list waits for the work
 */
export type SwapListener = (
  old: Int32Array | undefined,
  next: Int32Array,
  pace: Pace,
  signal: AbortSignal,
) => Promise<(() => Promise<void>) | undefined>;

/** Lists the sources of the options. */
export function sourcesOf({ whitelistFrom, blacklistFrom, fetchInterval }: ListOptions): Source[] {
  const create = (kind: ListKind) => (location: string) => ({
    kind,
    source: /^https?:\/\//i.test(location)
      ? new UrlSource(location, fetchInterval * 1000)
      : new FileSource(location),
    problem: undefined,
  });
  return [...whitelistFrom.map(create("whitelist")), ...blacklistFrom.map(create("blacklist"))];
}
