import { MessageChannel, type MessagePort } from "node:worker_threads";
import {
  BusError,
  BusLink,
  type BusPort,
  type CallContext,
  type CallOptions,
  goneError,
  type Request,
  type ThreadId,
} from "./bus-link.ts";

export { BusError, type ThreadId } from "./bus-link.ts";

/** The {@link ThreadId} of the main thread. */
export const mainThread = 0;

/**
 * The name of a service, with the types of its methods. A method takes one argument at most. A method that returns a promise is
 * called, one that returns an async iterable is streamed, one that returns nothing is notified.
 */
export interface Service<Methods> {
  readonly name: string;
  /** Exists only for the types. */
  readonly methods?: Methods;
}

/**
 * Defines a service.
 * @example
 * interface Clocks { now(zone: string): Promise<number>; ticks(): AsyncIterable<number>; adjust(seconds: number): void }
 * const clocks = defineService<Clocks>("clocks");
 * bus.serve(clocks, { now: (zone) => nowIn(zone), async *ticks(_, { signal }) { ... }, adjust(seconds) { ... } });
 * await bus.call(2, clocks, "now", "UTC", { timeoutMs: 1000 });
 */
export function defineService<Methods>(name: string): Service<Methods> {
  return { name };
}

type Method = (args: never) => unknown;
type Args<F> = F extends Method ? (Parameters<F> extends [infer A] ? A : undefined) : never;
type Result<F> = F extends Method ? ReturnType<F> : never;
/** The methods whose result is of a type. */
type MethodsOf<Methods, R> = {
  [K in keyof Methods]: [Result<Methods[K]>] extends [R] ? K : never;
}[keyof Methods];
type CallsOf<Methods> = MethodsOf<Methods, Promise<unknown>>;
type StreamsOf<Methods> = MethodsOf<Methods, AsyncIterable<unknown>>;
type NotificationsOf<Methods> = MethodsOf<Methods, void>;
type ItemOf<F> = Result<F> extends AsyncIterable<infer Item> ? Item : never;

/** What a thread does for the callers of a service: the same methods, which also receive the context of the request. */
export type Handlers<Methods> = {
  [K in keyof Methods]: (args: Args<Methods[K]>, call: CallContext) => HandlerResult<Result<Methods[K]>>;
};
type HandlerResult<R> =
  R extends AsyncIterable<unknown>
    ? R
    : R extends Promise<infer Value>
      ? Value | Promise<Value>
      : R | Promise<R>;

type AnyHandlers = Readonly<Record<string, (args: unknown, call: CallContext) => unknown>>;

/** How a {@link Bus} is made. */
export interface BusOptions {
  /** What this thread is called. A main thread that serves clients itself is 0 and 1. */
  threads: readonly ThreadId[];
  /** Receives errors of handlers of notifications, and notifications that {@link Bus.notifyAll} cannot deliver. */
  onError(error: unknown): void;
}

/**
 * Connects a thread to all other threads of the process, and to itself: calls with replies, streams, notifications. The main
 * thread gives each two other threads a channel, so messages between them do not pass through the main thread. Requests from one
 * thread to another arrive in order. Structured cloning copies arguments and results; shared memory is shared.
 *
 * A request that arrives during the start of a thread waits until the thread serves that service. From {@link Bus.open} on,
 * a request for an unknown service is refused.
 *
 * Only the port to the main thread keeps a thread alive, until {@link Bus.close}.
 */
export class Bus {
  readonly #options: BusOptions;
  readonly #links = new Map<ThreadId, BusLink>();
  readonly #services = new Map<string, AnyHandlers>();
  /** Services that requests wait for, by name; undefined after the start. */
  #awaited: Map<string, PromiseWithResolvers<AnyHandlers>> | undefined = new Map();

  constructor(options: BusOptions) {
    this.#options = options;
    for (const thread of options.threads) {
      const { port1, port2 } = new MessageChannel();
      this.#connectUnreferenced(thread, port1);
      this.#createLink(thread, port2);
      port2.unref();
    }
  }

  /** The workers that can be called now, this thread included where it is one. */
  get workers(): number[] {
    const isWorker = (thread: ThreadId): thread is number =>
      typeof thread === "number" && thread !== mainThread;
    return [...this.#links.keys()].filter(isWorker).sort((a, b) => a - b);
  }

  /** Serves the requests for a service, also those that have arrived before. */
  serve<Methods>(service: Service<Methods>, handlers: Handlers<Methods>): void {
    this.#services.set(service.name, handlers as AnyHandlers);
    this.#awaited?.get(service.name)?.resolve(handlers as AnyHandlers);
  }

  /** Ends the start. Requests for services that are not served are refused from now on. */
  open(): void {
    for (const [name, { reject }] of this.#awaited ?? []) reject(unknownError(name));
    this.#awaited = undefined;
  }

  /** Connects one other thread, such as the main thread by `parentPort`. */
  connect(thread: ThreadId, port: BusPort): void {
    this.#links.get(thread)?.close();
    const link = this.#createLink(thread, port);
    this.#links.set(thread, link);
    const onGone = (): void => {
      link.end();
      if (this.#links.get(thread) === link) this.#links.delete(thread);
    };
    port.once("close", onGone);
    port.once("exit", onGone);
  }

  /** Connects a new thread to this one, which is the main thread, and to all others. */
  addThread(thread: ThreadId, port: BusPort): void {
    this.connect(thread, port);
    for (const [other, link] of this.#links) {
      if (other === thread || this.#options.threads.includes(other)) continue;
      const { port1, port2 } = new MessageChannel();
      link.introduce(thread, port1);
      this.#links.get(thread)!.introduce(other, port2);
    }
  }

  /** Calls a method of one thread. Rejects with the error of the method, or with a {@link BusError}. */
  async call<Methods, K extends CallsOf<Methods>>(
    thread: ThreadId,
    service: Service<Methods>,
    method: K,
    args: Args<Methods[K]>,
    options?: CallOptions,
  ): Promise<Awaited<Result<Methods[K]>>> {
    const result = await this.#link(thread).call(requestOf(service, method, args), options);
    return result as Awaited<Result<Methods[K]>>;
  }

  /** Calls a method of all workers that there are now. Resolves when each has replied, failed or died. */
  async callAll<Methods, K extends CallsOf<Methods>>(
    service: Service<Methods>,
    method: K,
    args: Args<Methods[K]>,
    options?: CallOptions,
  ): Promise<Map<number, PromiseSettledResult<Awaited<Result<Methods[K]>>>>> {
    const { workers } = this;
    const results = await Promise.allSettled(
      workers.map((thread) => this.call(thread, service, method, args, options)),
    );
    return new Map(workers.map((thread, i) => [thread, results[i]!]));
  }

  /**
   * Yields the items of a stream of one thread. The producer runs a few items ahead of the reader at most. A reader that leaves
   * the loop stops the producer; so does `signal`, also while the reader waits for an item.
   */
  async *stream<Methods, K extends StreamsOf<Methods>>(
    thread: ThreadId,
    service: Service<Methods>,
    method: K,
    args: Args<Methods[K]>,
    options?: Pick<CallOptions, "signal">,
  ): AsyncGenerator<ItemOf<Methods[K]>> {
    const items = this.#link(thread).stream(requestOf(service, method, args), options);
    yield* items as AsyncGenerator<ItemOf<Methods[K]>>;
  }

  /**
   * Notifies one thread; there is no reply.
   * @throws BusError `gone` or `busy`; an error where structured cloning cannot copy the argument
   */
  notify<Methods, K extends NotificationsOf<Methods>>(
    thread: ThreadId,
    service: Service<Methods>,
    method: K,
    args: Args<Methods[K]>,
  ): void {
    this.#link(thread).notify(requestOf(service, method, args));
  }

  /** Notifies all workers that there are now. */
  notifyAll<Methods, K extends NotificationsOf<Methods>>(
    service: Service<Methods>,
    method: K,
    args: Args<Methods[K]>,
  ): void {
    for (const thread of this.workers) {
      try {
        this.notify(thread, service, method, args);
      } catch (error) {
        this.#options.onError(error);
      }
    }
  }

  /** Closes all ports: other threads see this one as gone, and its own calls end as `gone`. */
  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  #link(thread: ThreadId): BusLink {
    const link = this.#links.get(thread);
    if (!link) throw goneError(thread);
    return link;
  }

  #createLink(thread: ThreadId, port: BusPort): BusLink {
    return new BusLink(thread, port, {
      find: (request) => this.#findHandler(request),
      connect: (other, toOther) => this.#connectUnreferenced(other, toOther),
      onError: this.#options.onError,
    });
  }

  #connectUnreferenced(thread: ThreadId, port: MessagePort): void {
    this.connect(thread, port);
    port.unref();
  }

  async #findHandler({ service, method }: Request): Promise<AnyHandlers[string]> {
    const handlers = this.#services.get(service) ?? (await this.#waitFor(service));
    const handler = Object.hasOwn(handlers, method) ? handlers[method] : undefined;
    if (typeof handler !== "function") throw unknownError(`${service}.${method}`);
    return handler;
  }

  async #waitFor(name: string): Promise<AnyHandlers> {
    if (!this.#awaited) throw unknownError(name);
    const service = this.#awaited.get(name) ?? Promise.withResolvers();
    this.#awaited.set(name, service);
    return service.promise;
  }
}

function requestOf<Methods>(service: Service<Methods>, method: keyof Methods, args: unknown): Request {
  return { service: service.name, method: method as string, args };
}

function unknownError(what: string): BusError {
  return new BusError("unknown", `this thread has no service ${what}`);
}

/** Whether a call has failed because the other thread is gone. */
export function isGone(error: unknown): boolean {
  return error instanceof BusError && error.code === "gone";
}
