import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { WebSocketLoad, type WebSocketLoadOptions } from "../../src/load/websocket-load.ts";

type Options = Omit<WebSocketLoadOptions, "host" | "numWant">;

/** Seconds until the thread notices that it should end. */
const stepSeconds = 0.5;

/**
 * WebSockets that announce once and then only respond to pings and answer offers. They have a thread of their own, because a
 * load blocks its thread.
 */
export class IdleSockets {
  readonly #worker: Worker;
  readonly #isOver: Int32Array;

  private constructor(worker: Worker, isOver: Int32Array) {
    this.#worker = worker;
    this.#isOver = isOver;
  }

  /** Resolves when all sockets have announced. Rejects if the tracker refuses one. */
  static async open(options: Options): Promise<IdleSockets> {
    const isOver = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL(import.meta.url), { workerData: { options, isOver } });
    await once(worker, "message");
    return new IdleSockets(worker, isOver);
  }

  /** Resolves when all sockets are closed. */
  async close(): Promise<void> {
    const exited = once(this.#worker, "exit");
    Atomics.store(this.#isOver, 0, 1);
    await exited;
  }
}

if (!isMainThread) {
  const { options, isOver } = workerData as { options: Options; isOver: Int32Array };
  const load = await WebSocketLoad.create({ host: "127.0.0.1", numWant: 0, ...options });
  const { announces, errors } = load.fill();
  if (errors > 0) throw new Error(`the tracker refuses ${errors} of ${announces + errors} WebSockets`);
  parentPort!.postMessage(announces);
  while (Atomics.load(isOver, 0) === 0) load.idle(stepSeconds);
  load.close();
}
