import { DoubleBuffer } from "../../lib/double-buffer.ts";
import { withTimeout } from "../../lib/with-timeout.ts";
import type { HookDeps } from "../define-hook.ts";
import type { ListCollector, ListFormat, ListKind } from "./list-format.ts";
import { FileSource, type ListSource, type OpenList, type SourceState, UrlSource } from "./list-source.ts";
import { Pace } from "./pace.ts";
import { ListError, readList } from "./read-list.ts";

/** Where lists come from and how they are kept up to date. */
export interface ListOptions {
  /** Paths of files, and URLs of `http:` or `https:`. */
  whitelistFrom: readonly string[];
  blacklistFrom: readonly string[];
  /** Seconds between two looks at the files. */
  checkInterval: number;
  /** Seconds between two requests for an URL. */
  fetchInterval: number;
  /** Most entries of all sources together; twice the memory for them is reserved. */
  maxEntries: number;
  /** What happens to requests as long as no list could be loaded at all. */
  onFailure: "refuse" | "allow";
}

/** What the lists of a hook share in one thread: only one of them is written at a time. */
let writing: Promise<unknown> = Promise.resolve();

/** The lists that this thread keeps up to date. */
const running = new Set<SharedList>();

/** How long a start waits for the lists, in milliseconds. They are loaded further meanwhile. */
const startWaitMs = 5000;
/** How long another thread waits at its start for the first one, in milliseconds. */
const waitMs = 10_000;

interface Source {
  readonly kind: ListKind;
  readonly source: ListSource;
  /** Why it cannot be used, if it cannot. */
  problem: string | undefined;
}

/**
 * A list from files and URLs in memory that all workers share. The first worker looks for changes, reads all sources anew
 * when one has changed, in small steps, and swaps the whole list at once; the others read what is in the memory.
 *
 * Whatever is wrong with a source, the list that is there stays, in one piece; one line of the log and a counter say why.
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
  /** Names this object as the writer of the memory. */
  readonly #id: number;
  /** The writer before it. */
  #before = 0;
  /** The generation that this object has written; -1 as long as it has seen anything that is not in one. */
  #written = -1;
  /** What a swap has brought about, and other lists do not wait for. */
  #following: Promise<void> | undefined;
  #entries = 0;
  #lastSuccess = 0;
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
    const help = "Loads of the lists of a hook, by result";
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

  /** Whether there is a list; without one, whether requests pass is a matter of the options. */
  get isLoaded(): boolean {
    return this.memory.generation !== 0;
  }

  ready(): true | string {
    return this.isLoaded || "no list could be loaded";
  }

  /** Loads the list, or waits until the first worker has tried to, for a limited time; then goes on looking. */
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
    const message = `no list within ${startWaitMs / 1000} s: on_failure is ${onFailure} until there is one`;
    this.#deps.logger.warn({}, message);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    running.delete(this);
    for (const withdraw of this.#withdrawals) withdraw();
    this.#stopped.abort(new Error("stopped"));
    // A reload that was refused: the one that goes on writes again.
    if (this.#isWriter) this.memory.writer = this.#before;
    await writing;
    await this.#following;
  }

  /** Registers the gauges: those of two hooks of one name are one, and say what is so of both. */
  #show(): void {
    running.add(this);
    const { metrics } = this.#deps;
    const gauge = (suffix: string, help: string, read: (lists: SharedList[]) => number) => {
      const name = `chihaya_access_list_${suffix}`;
      this.#withdrawals.push(metrics.gauge(name, help, () => read(this.#shown()), { hook: this.#name }));
    };
    const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
    gauge("entries", "Entries of the lists of a hook", (lists) => sum(lists.map((list) => list.#entries)));
    gauge(
      "last_success_timestamp_seconds",
      "When the lists of a hook were last known to be what their sources say, in seconds since 1970",
      (lists) => Math.min(...lists.map((list) => list.#lastSuccess)),
    );
    gauge("failing_sources", "Files and URLs whose list cannot be used", (lists) =>
      sum(lists.map((list) => list.#sources.filter(({ problem }) => problem !== undefined).length)),
    );
  }

  /** The lists of the hooks of this name, but for those from which a reload has just taken the memory over. */
  #shown(): SharedList[] {
    const alike = [...running].filter(
      (list) => list.#name === this.#name && list.#deps.metrics === this.#deps.metrics,
    );
    const writers = alike.map((list) => list.#id);
    return alike.filter((list) => list.#isWriter || !writers.includes(list.memory.writer));
  }

  /** Whether none has come after it: during a reload the old one is still there. */
  get #isWriter(): boolean {
    return this.memory.writer === this.#id;
  }

  /** Looks for changes now, and loads them. Never rejects. */
  async check(): Promise<void> {
    if (!this.#isWriter) return;
    const { signal } = this.#stopped;
    const opened: (OpenList | undefined)[] = [];
    try {
      let hasFailed = false;
      for (const state of await Promise.all(this.#sources.map((each) => this.#look(each, false)))) {
        hasFailed ||= state === "failed";
        opened.push(typeof state === "object" ? state : undefined);
      }
      const hasOpened = opened.some((list) => list !== undefined);
      if (hasOpened) this.#written = -1;
      if (hasFailed) return;
      const isSound = this.#sources.every(({ problem }) => problem === undefined);
      if (this.#written === this.memory.generation) {
        if (isSound) this.#lastSuccess = this.#deps.clock.unixSeconds;
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
      // What was published for other memory, before a reload, says nothing of this.
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

  /** Opens a source if it has changed, or in any case. */
  async #look(each: Source, isForced: boolean): Promise<SourceState | "failed"> {
    try {
      const state = await each.source.open(isForced, this.#stopped.signal);
      if (state === "same") each.problem = undefined;
      return state;
    } catch (error) {
      this.#fail(each, error);
      return "failed";
    }
  }

  /** Reads all the sources, of which some are open, and swaps. */
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
        const open = opened[i] ?? (await this.#look(each, true));
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
      this.#entries = list.size;
      this.#lastSuccess = this.#deps.clock.unixSeconds;
      for (const [i, each] of this.#sources.entries()) {
        opened[i]?.accept();
        each.problem = undefined;
      }
      this.#loads.loaded();
      this.#deps.logger.info({ entries: list.size }, "list loaded");
      return this.#onSwap?.(generation === 0 ? undefined : old, next, pace, signal);
    };
    const turn = writing.then(swap);
    writing = turn.catch(() => undefined);
    const follow = await turn;
    this.#following = follow?.();
  }

  /** @returns whether it could be read */
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

  /** Says what is wrong with a source, once. */
  #fail(each: Source, error: unknown): void {
    if (this.#stopped.signal.aborted) return;
    this.#loads.failed();
    const place = error instanceof ListError ? `${each.source.name}:${error.line}` : each.source.name;
    const problem = `${place}: ${(error as Error).message}`;
    if (problem === each.problem) return;
    each.problem = problem;
    const { onFailure } = this.#options;
    const instead = this.isLoaded ? "the list of before stays" : `no list yet: on_failure is ${onFailure}`;
    this.#deps.logger.error({}, `list not loaded: ${problem}; ${instead}`);
  }
}

/** What a list is made of. */
export interface SharedListParts {
  /** The hook's name, for metrics. */
  name: string;
  /** Names the memory among that of the hook. What is in it must mean the same after a reload. */
  memory: string;
  format: ListFormat;
  options: ListOptions;
  /** Entries that are always in the list; they are right. */
  fixed: readonly { kind: ListKind; text: string }[];
  /** Called after each swap in the first worker, before anything else is written; `old` is undefined for the first. */
  onSwap?: SwapListener;
}

/**
 * Hears of a swap. The memory of `old` is not written before it has settled.
 * @returns what is to be done about it, which must not reject; only the next look at this list waits for it
 */
export type SwapListener = (
  old: Int32Array | undefined,
  next: Int32Array,
  pace: Pace,
  signal: AbortSignal,
) => Promise<(() => Promise<void>) | undefined>;

function sourcesOf({ whitelistFrom, blacklistFrom, fetchInterval }: ListOptions): Source[] {
  const create = (kind: ListKind) => (location: string) => ({
    kind,
    source: /^https?:\/\//i.test(location)
      ? new UrlSource(location, fetchInterval * 1000)
      : new FileSource(location),
    problem: undefined,
  });
  return [...whitelistFrom.map(create("whitelist")), ...blacklistFrom.map(create("blacklist"))];
}
