import { Histogram } from "./histogram.ts";
import type { PopulationShape } from "./population.ts";

/** What a load is of; see the generators for what else they can be told. */
export interface LoadOptions extends PopulationShape {
  /** The address of the tracker. */
  host: string;
  port: number;
  /** Peers that an announce asks for. */
  numWant: number;
  /** Addresses that the requests come from, 127.1.0.1 and so on, where the tracker is on 127.0.0.0/8; default 64. */
  sources?: number;
}

/** How long and how fast to ask. */
export interface LoadRun {
  seconds: number;
  /**
   * Requests per second, whatever comes back, with latencies measured from the moment a request was due, so that a
   * tracker that stalls does not hide it by delaying the next ones. Without it, as many as are answered, and no latencies.
   */
  rate?: number;
  /** The first peer to draw, of as many as the population has; default 0. Moving it on makes peers come and go. */
  from?: number;
}

/** Asks one tracker. Blocks the thread while it does: nothing else of that thread runs meanwhile. */
export interface Load {
  /** Announces every peer of the population once. */
  fill(): LoadResult;
  /** Announces random peers. */
  run(run: LoadRun): LoadResult;
  close(): void;
}

/** What came of a load. */
export class LoadResult {
  seconds = 0;
  sent = 0;
  /** Announce responses that are right. */
  announces = 0;
  /** Scrape responses that are right. */
  scrapes = 0;
  /** Anything else that was answered, and connections that broke. */
  errors = 0;
  /** Peers in all announce responses. */
  peers = 0;
  readonly latency: Histogram = new Histogram();

  get answered(): number {
    return this.announces + this.scrapes;
  }

  /** Requests that were answered neither right nor wrong. */
  get lost(): number {
    return this.sent - this.answered - this.errors;
  }

  get rate(): number {
    return this.answered / this.seconds;
  }

  get peersPerAnswer(): number {
    return this.announces === 0 ? 0 : this.peers / this.announces;
  }
}

/** Milliseconds after the end of a run in which requests that were due in it are still sent. */
const graceMs = 2000;

/** Says when each request of a run is due, in milliseconds of `performance.now()`. */
export class Pace {
  readonly started: number = performance.now();
  readonly #end: number;
  readonly #interval: number | undefined;
  #due = 0;

  constructor({ seconds, rate }: LoadRun) {
    this.#end = this.started + seconds * 1000;
    this.#interval = rate === undefined ? undefined : 1000 / rate;
  }

  get isPaced(): boolean {
    return this.#interval !== undefined;
  }

  /** Whether the time is over, and all that was due has been sent or is hopelessly late. */
  isOver(now: number): boolean {
    return now >= this.#end && (!this.isPaced || now >= this.#end + graceMs || this.due(now) === 0);
  }

  /** How many requests are to be sent now, having sent those of earlier calls. */
  due(now: number): number {
    if (this.#interval === undefined) return Number.POSITIVE_INFINITY;
    const until = Math.min(now, this.#end);
    return Math.max(0, Math.floor((until - this.started) / this.#interval) - this.#due);
  }

  /** Takes `count` of what is due. */
  take(count: number): void {
    this.#due += count;
  }

  /** When the request number `index` was due. */
  dueAt(index: number): number {
    return this.started + (index + 1) * (this.#interval ?? 0);
  }
}
