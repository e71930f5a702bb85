/** Takes a batch of lines, each with its line feed; rejects where it could not. */
export type Send = (lines: string) => Promise<void>;

interface Counter {
  inc(by?: number): void;
}

/** Where lines go, and what is counted of them. */
export interface BatchesSettings {
  /** Lines of a batch. */
  batch: number;
  /** Lines that may wait, those under way included. */
  buffer: number;
  send: Send;
  written: Counter;
  dropped: Counter;
}

/** Collects lines and sends them in batches, one batch at a time. What finds no room is dropped and counted. */
export class Batches {
  onFailure: (error: unknown) => void = () => undefined;
  readonly #batch: number;
  readonly #buffer: number;
  readonly #send: Send;
  readonly #written: Counter;
  readonly #dropped: Counter;
  #lines: string[] = [];
  #flushing: Promise<void> | undefined;

  constructor({ batch, buffer, send, written, dropped }: BatchesSettings) {
    this.#batch = batch;
    this.#buffer = buffer;
    this.#send = send;
    this.#written = written;
    this.#dropped = dropped;
  }

  add(line: string): void {
    if (this.#lines.length >= this.#buffer) {
      this.#dropped.inc();
      return;
    }
    this.#lines.push(line);
    if (this.#lines.length === this.#batch) void this.flush();
  }

  /** Sends all that waits. A batch that fails stays, for the next time. Never rejects. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  /** Sends the rest; what cannot be sent is dropped. */
  async close(): Promise<void> {
    await this.flush();
    await this.flush(); // what came while the last batch was under way
    this.#dropped.inc(this.#lines.length);
    this.#lines = [];
  }

  async #flush(): Promise<void> {
    try {
      while (this.#lines.length > 0) {
        const lines = this.#lines.slice(0, this.#batch);
        await this.#send(`${lines.join("\n")}\n`);
        this.#lines.splice(0, lines.length);
        this.#written.inc(lines.length);
      }
    } catch (error) {
      this.onFailure(error);
    }
  }
}
