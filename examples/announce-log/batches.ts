/** Sends a batch of lines, each with a line feed. Rejects on failure. */
export type Send = (lines: string) => Promise<void>;

interface Counter {
  inc(by?: number): void;
}

/** What a `Batches` needs. */
export interface BatchesSettings {
  /** Maximum number of lines in a batch. */
  batch: number;
  /** Maximum number of waiting lines, including those of the batch under way. */
  buffer: number;
  send: Send;
  written: Counter;
  dropped: Counter;
}

/** Collects lines and sends them in batches, one batch at a time. Drops and counts lines while the buffer is full. */
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

  /** Sends all waiting lines. Keeps the lines of a failed batch for the next call. Never rejects. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  /** Sends the waiting lines. Drops and counts lines that cannot be sent. */
  async close(): Promise<void> {
    await this.flush();
    await this.flush(); // lines that arrived during the last batch
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
