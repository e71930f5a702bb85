import { Histogram } from "./histogram.ts";
import type { PopulationShape } from "./population.ts";

/** Options that all load generators share. */
export interface LoadOptions extends PopulationShape {
  /** The address of the tracker. */
  host: string;
  port: number;
  /** Peers that an announce asks for. */
  numWant: number;
  /** Number of source addresses, from 127.1.0.1 on, if the tracker is on 127.0.0.0/8; default 64. */
  sources?: number;
}

/** Duration and rate of one run. */
export interface LoadRun {
  seconds: number;
  /**
   * Requests per second. The generator sends at this rate even if responses are missing. It measures each latency from the
   * time at which the request was due, so that a stalling tracker cannot hide the stall by delaying later requests. Without
   * a rate, the generator sends as many requests as the tracker can serve, and measures no latencies.
   */
  rate?: number;
  /** Number of the first peer to draw from; default 0. Runs with other numbers announce other peers. */
  from?: number;
}

/** Sends requests to one tracker. A run blocks its thread. */
export interface Load {
  /** Announces every peer of the population once. */
  fill(): LoadResult;
  /** Announces random peers. */
  run(run: LoadRun): LoadResult;
  close(): void;
}

/** The counts of one run. */
export class LoadResult {
  seconds = 0;
  sent = 0;
  /** Right responses to announces. */
  announces = 0;
  /** Right responses to scrapes. */
  scrapes = 0;
  /** Wrong responses and broken connections. */
  errors = 0;
  /** Peers in all responses to announces. */
  peers = 0;
  /** Over WebSocket: offers that peers have received from others, and answers to offers. */
  offers = 0;
  answers = 0;
  readonly latency: Histogram = new Histogram();

  get answered(): number {
    return this.announces + this.scrapes;
  }

  /** Requests without a response. */
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

/** For this many milliseconds after its end, a run still sends requests that are overdue. */
const graceMs = 2000;

/** Computes when each request of a run is due, in milliseconds of `performance.now()`. */
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

  /** Whether the time is over, and no request is due or the grace time is over too. */
  isOver(now: number): boolean {
    return now >= this.#end && (!this.isPaced || now >= this.#end + graceMs || this.due(now) === 0);
  }

  /** Returns how many requests are due now. */
  due(now: number): number {
    if (this.#interval === undefined) return Number.POSITIVE_INFINITY;
    const until = Math.min(now, this.#end);
    return Math.max(0, Math.floor((until - this.started) / this.#interval) - this.#due);
  }

  /** Marks `count` of the due requests as sent. */
  take(count: number): void {
    this.#due += count;
  }

  /** Returns when request number `index` was due. */
  dueAt(index: number): number {
    return this.started + (index + 1) * (this.#interval ?? 0);
  }
}
