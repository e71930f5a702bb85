import type { MessagePort } from "node:worker_threads";

/** The most calls, and the most notifications, that wait for one thread before the bus refuses more. */
export const maxWaiting = 1024;
/** How many items of a stream the producer sends before the reader asks for more. */
export const streamWindow = 8;
/** A thread reports notifications as handled in groups of this size. */
const acknowledgeEvery = 64;

/**
 * The main thread is 0. The workers that serve clients count from 1; a worker that replaces another has the same number. A
 * thread with another task has a name.
 */
export type ThreadId = number | string;

/** Why the bus itself refuses or ends a call. */
type BusErrorCode = "busy" | "gone" | "timeout" | "unknown";

/**
 * An error of the bus rather than of the service. `code` is one of:
 * `gone`: the other thread has ended, or there is no such thread;
 * `busy`: too many calls or notifications wait for that thread already;
 * `timeout`: no reply came in time;
 * `unknown`: that thread has no such service or method.
 */
export class BusError extends Error {
  readonly code: BusErrorCode;

  constructor(code: BusErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The part of a `MessagePort` or a `Worker` that a link uses. */
export interface BusPort {
  postMessage(message: unknown, transfer?: readonly MessagePort[]): void;
  on(event: "message", listener: (message: unknown) => void): unknown;
  /** A `MessagePort` emits `close`, a `Worker` emits `exit`. */
  once(event: "close" | "exit", listener: () => void): unknown;
  close?(): void;
}

/** One method of one service, with its argument. */
export interface Request {
  readonly service: string;
  readonly method: string;
  readonly args: unknown;
}

/** What a handler learns about the request beside its argument. */
export interface CallContext {
  /** The thread that sent the request. */
  readonly from: ThreadId;
  /** Aborted when the caller no longer wants the result, or is gone. */
  readonly signal: AbortSignal;
}

/** How long a caller waits. */
export interface CallOptions {
  /** Ends the call with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the call with a {@link BusError} `timeout`. */
  readonly timeoutMs?: number | undefined;
}

/** The parts of an error that survive the way between threads. */
interface ErrorRecord {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | number | undefined;
}

/**
 * All messages between two threads. `id` is chosen by the sender of the request; it is the same in all messages about that
 * request, in both directions.
 */
type Message =
  | ({ readonly kind: "call" | "stream"; readonly id: number } & Request)
  | ({ readonly kind: "notification" } & Request)
  | { readonly kind: "item"; readonly id: number; readonly value: unknown }
  | { readonly kind: "reply"; readonly id: number; readonly value?: unknown; readonly error?: ErrorRecord }
  | { readonly kind: "cancel"; readonly id: number }
  | { readonly kind: "credit"; readonly id: number; readonly items: number }
  | { readonly kind: "acknowledge"; readonly notifications: number }
  | { readonly kind: "connect"; readonly thread: ThreadId; readonly port: MessagePort };

/** A request that this thread has sent and the other one has not replied to. */
interface Sent {
  onItem(value: unknown): void;
  /** Called once: with an error, or with the result. */
  onEnd(error: Error | undefined, value?: unknown): void;
}

/** A request of the other thread that this thread is working on. */
interface Served {
  readonly abort: AbortController;
  /** The number of items that the reader still has room for. */
  credit: number;
  /** Continues a stream that waits for credit. */
  resume(): void;
}

/** What a link needs from the bus that it belongs to. */
export interface LinkDeps {
  /** Finds the handler of a request. Waits for it during the start of the thread. */
  find(request: Request): Promise<(args: unknown, call: CallContext) => unknown>;
  /** Receives the port to a thread that the main thread introduces. */
  connect(thread: ThreadId, port: MessagePort): void;
  /** Receives errors of handlers of notifications, which have nobody to reply to. */
  onError(error: unknown): void;
}

/**
 * One end of the connection between two threads: calls, streams and notifications in both directions, in the order in
 * which they are sent.
 *
 * Nothing grows without bound. A request occupies one of {@link maxWaiting} places until the other thread has replied, even if
 * the caller has given up meanwhile. The same number of notifications may be unhandled. A stream is at most
 * {@link streamWindow} items ahead of its reader.
 */
export class BusLink {
  /** The thread at the other end. */
  readonly peer: ThreadId;
  readonly #port: BusPort;
  readonly #deps: LinkDeps;
  readonly #sent = new Map<number, Sent>();
  readonly #served = new Map<number, Served>();
  readonly #gone = new AbortController();
  #nextId = 1;
  /** Notifications that this thread has sent and the other one has not reported as handled. */
  #unacknowledged = 0;
  /** Notifications that this thread has handled and not reported. */
  #handled = 0;

  constructor(peer: ThreadId, port: BusPort, deps: LinkDeps) {
    this.peer = peer;
    this.#port = port;
    this.#deps = deps;
    port.on("message", (message) => this.#receive(message as Message));
  }

  /** Sends a request and resolves with the result. Rejects with the error of the handler, or a {@link BusError}. */
  async call(request: Request, { signal, timeoutMs }: CallOptions = {}): Promise<unknown> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = this.#request("call", request, {
      onItem() {},
      onEnd: (error, value) => (error ? reject(error) : resolve(value)),
    });
    const giveUp = (reason: unknown): void => {
      reject(reason);
      this.#post({ kind: "cancel", id });
    };
    const onAbort = (): void => giveUp(signal?.reason);
    const onTimeout = (): void =>
      giveUp(new BusError("timeout", `${nameThread(this.peer)} did not reply within ${timeoutMs} ms`));
    signal?.addEventListener("abort", onAbort);
    const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /**
   * Sends a request when the first item is asked for, and yields the items. A reader that leaves the loop, or whose signal is
   * aborted, stops the producer.
   */
  async *stream(request: Request, { signal }: Pick<CallOptions, "signal"> = {}): AsyncGenerator<unknown> {
    signal?.throwIfAborted();
    const items: unknown[] = [];
    let end: { error: Error | undefined } | undefined;
    let read = 0;
    let wake = (): void => {};
    const id = this.#request("stream", request, {
      onItem(value) {
        items.push(value);
        wake();
      },
      onEnd(error) {
        end = { error };
        wake();
      },
    });
    const onAbort = (): void => wake();
    signal?.addEventListener("abort", onAbort);
    try {
      for (;;) {
        signal?.throwIfAborted();
        if (items.length > 0) {
          yield items.shift();
          if (++read < streamWindow / 2 || end) continue;
          this.#post({ kind: "credit", id, items: read });
          read = 0;
        } else if (end) {
          if (end.error) throw end.error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      signal?.removeEventListener("abort", onAbort);
      items.length = 0;
      if (!end) this.#post({ kind: "cancel", id });
    }
  }

  /** Sends a notification. @throws BusError `gone` or `busy`; an error if structured cloning cannot copy the argument */
  notify(request: Request): void {
    this.#checkRoom(this.#unacknowledged, "notifications");
    this.#port.postMessage({ kind: "notification", ...request } satisfies Message);
    this.#unacknowledged++;
  }

  /** Gives the other thread a port to a third one. */
  introduce(thread: ThreadId, port: MessagePort): void {
    this.#port.postMessage({ kind: "connect", thread, port } satisfies Message, [port]);
  }

  /** Ends all calls in both directions, because the other thread is gone. */
  end(): void {
    if (this.#gone.signal.aborted) return;
    this.#gone.abort();
    for (const { onEnd } of this.#sent.values()) onEnd(goneError(this.peer));
    this.#sent.clear();
    for (const served of this.#served.values()) cancel(served);
    this.#served.clear();
  }

  /** Closes the port, so the other thread sees this one as gone. */
  close(): void {
    this.#port.close?.();
    this.end();
  }

  #request(kind: "call" | "stream", request: Request, sent: Sent): number {
    this.#checkRoom(this.#sent.size, "calls");
    const id = this.#nextId++;
    this.#port.postMessage({ kind, id, ...request } satisfies Message);
    this.#sent.set(id, sent);
    return id;
  }

  #checkRoom(waiting: number, what: string): void {
    if (this.#gone.signal.aborted) throw goneError(this.peer);
    if (waiting < maxWaiting) return;
    throw new BusError("busy", `${waiting} ${what} wait for ${nameThread(this.peer)} already`);
  }

  #post(message: Message): void {
    if (!this.#gone.signal.aborted) this.#port.postMessage(message);
  }

  #receive(message: Message): void {
    switch (message?.kind) {
      case "call":
      case "stream":
        void this.#serve(message);
        break;
      case "notification":
        void this.#handleNotification(message);
        break;
      case "item":
        this.#sent.get(message.id)?.onItem(message.value);
        break;
      case "reply": {
        const sent = this.#sent.get(message.id);
        this.#sent.delete(message.id);
        sent?.onEnd(message.error && readError(message.error), message.value);
        break;
      }
      case "cancel":
        cancel(this.#served.get(message.id));
        break;
      case "credit": {
        const served = this.#served.get(message.id);
        if (served) served.credit += message.items;
        served?.resume();
        break;
      }
      case "acknowledge":
        this.#unacknowledged -= message.notifications;
        break;
      case "connect":
        this.#deps.connect(message.thread, message.port);
    }
  }

  async #serve(request: Message & { kind: "call" | "stream" }): Promise<void> {
    const { kind, id } = request;
    const abort = new AbortController();
    const served: Served = { abort, credit: streamWindow, resume() {} };
    this.#served.set(id, served);
    try {
      const handle = await this.#deps.find(request);
      abort.signal.throwIfAborted(); // cancelled while it waited for the start
      const result = await handle(request.args, { from: this.peer, signal: abort.signal });
      if (kind === "stream") await this.#sendItems(id, result as AsyncIterable<unknown>, served);
      this.#post({ kind: "reply", id, value: kind === "call" ? result : undefined });
    } catch (error) {
      this.#post({ kind: "reply", id, error: recordError(error) });
    }
    this.#served.delete(id);
  }

  async #sendItems(id: number, items: AsyncIterable<unknown>, served: Served): Promise<void> {
    const { signal } = served.abort;
    if (signal.aborted) return;
    for await (const value of items) {
      if (signal.aborted) return;
      this.#post({ kind: "item", id, value });
      served.credit--;
      while (served.credit === 0 && !signal.aborted) {
        await new Promise<void>((resolve) => {
          served.resume = resolve;
        });
      }
      if (signal.aborted) return;
    }
  }

  async #handleNotification(request: Request): Promise<void> {
    try {
      const handle = await this.#deps.find(request);
      await handle(request.args, { from: this.peer, signal: this.#gone.signal });
    } catch (error) {
      this.#deps.onError(error);
    }
    if (++this.#handled < acknowledgeEvery) return;
    this.#post({ kind: "acknowledge", notifications: this.#handled });
    this.#handled = 0;
  }
}

/** Returns the error of a call to a thread that is gone. */
export function goneError(thread: ThreadId): BusError {
  return new BusError("gone", `${nameThread(thread)} is gone: it died, was stopped, or never started`);
}

/** Returns the name of a thread in errors. */
function nameThread(thread: ThreadId): string {
  if (typeof thread === "string") return `the ${thread} thread`;
  return thread === 0 ? "the main thread" : `worker ${thread}`;
}

function cancel(served: Served | undefined): void {
  served?.abort.abort();
  served?.resume();
}

function recordError(error: unknown): ErrorRecord {
  const { name, message, stack, code } = (
    error instanceof Error ? error : new Error(String(error))
  ) as Error & {
    code?: unknown;
  };
  return {
    name,
    message,
    stack,
    code: typeof code === "string" || typeof code === "number" ? code : undefined,
  };
}

function readError({ name, message, stack, code }: ErrorRecord): Error {
  const error = new Error(message);
  const set = { name, ...(stack !== undefined && { stack }) };
  for (const [key, value] of Object.entries(set))
    Object.defineProperty(error, key, { value, configurable: true, writable: true });
  return code === undefined ? error : Object.assign(error, { code });
}
