import type { Session } from "./session.ts";

/** Bits of a handle that name the slot; the bits above name the worker. */
const slotBits = 26;
const slotMask = 2 ** slotBits - 1;

/** Returns the number of the worker that has the socket of a handle. */
export function workerOf(handle: number): number {
  return handle >>> slotBits;
}

/**
 * The sockets of one worker by their slots. Each slot counts its sockets in a generation of 16 bits, so that a handle of an
 * earlier socket does not reach a later one.
 */
export class SessionTable {
  readonly worker: number;
  readonly #sessions: (Session | undefined)[] = [];
  readonly #generations: number[] = [];
  readonly #free: number[] = [];
  readonly #firstGeneration: number;
  #size = 0;

  /**
   * @param worker           0 to 63
   * @param firstGeneration  the generation of the first socket of each slot: another one after each start of the worker
   */
  constructor(worker: number, firstGeneration: number) {
    this.worker = worker;
    this.#firstGeneration = firstGeneration & 0xffff;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds a socket, and sets its handle and generation. */
  add(session: Session): void {
    let slot = this.#free.pop();
    if (slot === undefined) {
      slot = this.#sessions.length;
      this.#generations.push(this.#firstGeneration);
    }
    this.#sessions[slot] = session;
    this.#size++;
    session.handle = ((this.worker << slotBits) | slot) >>> 0;
    session.generation = this.#generations[slot]!;
  }

  remove(session: Session): void {
    const slot = session.handle & slotMask;
    if (this.#sessions[slot] !== session) return;
    this.#sessions[slot] = undefined;
    this.#generations[slot] = (this.#generations[slot]! + 1) & 0xffff;
    this.#free.push(slot);
    this.#size--;
  }

  /** Returns the socket of this worker with a handle and a generation; undefined if the socket is gone. */
  find(handle: number, generation: number): Session | undefined {
    const session = this.#sessions[handle & slotMask];
    return session !== undefined && session.handle === handle && session.generation === generation
      ? session
      : undefined;
  }
}
