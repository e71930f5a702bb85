import type { WebLink } from "../peer-store.ts";
import type { RedisPort } from "./redis-port.ts";

/** What the link uses of the store. */
export interface WebLinkDeps {
  readonly tracker: number;
  /** The prefix of all keys and channels of the link. */
  readonly prefix: string;
  /** Returns the connection. @throws Error while there is none */
  port(): RedisPort;
  /** Removes the web peers of a tracker that is dead. */
  sweep(tracker: number): Promise<unknown>;
  /** Called with the first of several errors of the background work, which goes on. */
  onError(error: Error): void;
  /** Seconds without a sign of life after which the peers of a tracker are removed; default 60. */
  lifetime?: number | undefined;
}

const defaultLifetime = 60;
/** Signs of life within a lifetime. */
const beatsInLifetime = 4;

/**
 * The way to other trackers over Redis: each worker subscribes to a channel of its own. A tracker that has web peers keeps a key
 * alive (`web:alive:NUMBER`), for half of the lifetime at a time, and is a member of the set `web:trackers`. A tracker without a key at
 * two beats in a row is dead: after an outage of Redis all keys are gone, and the others need the time until their next beat. The
 * tracker that removes a dead tracker from the set sweeps the peers of that tracker.
 */
export class RedisWebLink implements WebLink {
  readonly tracker: number;
  readonly #deps: WebLinkDeps;
  readonly #lifetime: number;
  readonly #subscriptions: { worker: number; receive: (message: Uint8Array) => void; close?: () => void }[] =
    [];
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> | undefined;
  /** Whether the last beat has failed, which is reported once. */
  #hasFailed = false;
  /** Trackers that had no key at the last beat. */
  #missing = new Set<number>();
  /** Dead trackers that this one has removed from the set, and whose peers it must still sweep. */
  readonly #unswept = new Set<number>();
  #isClosed = false;

  constructor(deps: WebLinkDeps) {
    this.tracker = deps.tracker;
    this.#deps = deps;
    this.#lifetime = deps.lifetime ?? defaultLifetime;
  }

  async open(worker: number, receive: (message: Uint8Array) => void): Promise<void> {
    this.#subscriptions.push({ worker, receive });
    this.#timer ??= setInterval(
      () => void this.#beatOnce(),
      (this.#lifetime * 1000) / beatsInLifetime,
    ).unref();
    await this.#beating; // it may have passed the subscriptions
    await this.#beatOnce();
  }

  /** Makes a beat, unless the beat before is still in progress. Never rejects. */
  #beatOnce(): Promise<void> {
    this.#beating ??= this.#beat()
      .then(
        () => {
          this.#hasFailed = false;
        },
        (error) => {
          if (!this.#hasFailed && !this.#isClosed) this.#deps.onError(error);
          this.#hasFailed = true;
          this.#missing.clear();
        },
      )
      .finally(() => {
        this.#beating = undefined;
      });
    return this.#beating;
  }

  /** Subscribes where that has not succeeded yet. */
  async #subscribe(): Promise<void> {
    const port = this.#deps.port();
    if (port.subscribe === undefined)
      throw new Error("this connection to Redis cannot subscribe to channels");
    for (const subscription of this.#subscriptions) {
      if (subscription.close !== undefined) continue;
      const { worker, receive } = subscription;
      const close = await port.subscribe(this.#channelOf(this.tracker, worker), receive);
      if (this.#isClosed) return close();
      subscription.close = close;
    }
  }

  async send(tracker: number, worker: number, message: Uint8Array): Promise<boolean> {
    const port = this.#deps.port();
    const channel = this.#channelOf(tracker, worker);
    const key = Buffer.from(channel);
    const count = await port.send(key, ["PUBLISH", channel, Buffer.from(message)]);
    if (count !== 0) return true;
    // A server of a cluster counts its own subscribers only.
    return port.isCluster && (await this.#send(this.#keyOf(tracker), "EXISTS")) !== 0;
  }

  /** Closes the subscriptions. Idempotent. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const { close } of this.#subscriptions.splice(0)) close?.();
  }

  /** Gives a sign of life, and looks for trackers that give none. */
  async #beat(): Promise<void> {
    if (this.#isClosed) return;
    await this.#subscribe();
    const alive = this.#keyOf(this.tracker);
    await this.#send(alive, "SET", "1", "EX", `${Math.ceil(this.#lifetime / 2)}`);
    const trackers = `${this.#deps.prefix}trackers`;
    await this.#send(trackers, "SADD", `${this.tracker}`);
    const members = ((await this.#send(trackers, "SMEMBERS")) as Buffer[]).map(Number);
    const missing = new Set<number>();
    for (const member of members) {
      if (member === this.tracker || (await this.#send(this.#keyOf(member), "EXISTS")) !== 0) continue;
      if (!this.#missing.has(member)) missing.add(member);
      else if ((await this.#send(trackers, "SREM", `${member}`)) === 1) this.#unswept.add(member);
    }
    this.#missing = missing;
    for (const tracker of this.#unswept) {
      if ((await this.#send(this.#keyOf(tracker), "EXISTS")) === 0) await this.#deps.sweep(tracker);
      this.#unswept.delete(tracker);
    }
  }

  #send(key: string, command: string, ...args: string[]): Promise<unknown> {
    return this.#deps.port().send(Buffer.from(key), [command, key, ...args]);
  }

  #keyOf(tracker: number): string {
    return `${this.#deps.prefix}alive:${tracker}`;
  }

  #channelOf(tracker: number, worker: number): string {
    return `${this.#deps.prefix}${tracker}:${worker}`;
  }
}
