import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { isatty } from "node:tty";
import type { Metrics } from "./metrics.ts";

/** Maximum number of bytes that wait for a slow reader. */
const maxWaitingBytes = 1 << 20;
/** Time between two attempts to write waiting lines, in milliseconds. */
const retryMs = 100;
/** Time between two attempts of {@link LogOutput.flush}, in milliseconds. */
const flushPauseMs = 5;
/**
 * Maximum number of attempts of {@link LogOutput.flush} in a row that write nothing, about a second. A pause of the whole
 * machine is one attempt, not many.
 */
const flushIdleAttempts = 200;
/** Maximum number of attempts of {@link LogOutput.flush}, about ten seconds. */
const flushAttempts = 2000;

const lineFeed = Uint8Array.of(10);

/** Writes some of the bytes. @returns how many @throws the error of `fs.writeSync`; `EAGAIN` if the reader is not ready */
export type WriteSome = (bytes: Uint8Array) => number;

/**
 * Writes the lines of a log. Never waits for the reader, and never throws.
 *
 * If the reader is slow, up to 1 MiB of lines wait in memory; further lines are dropped. Lines that cannot be written,
 * because the disk is full or the reader is gone, are dropped at once. Each new line is a new attempt, so the log continues
 * as soon as there is space. If only a part of a line was written, a line feed ends this part before the next line.
 */
export class LogOutput {
  /** Number of dropped lines. */
  dropped = 0;
  readonly #writeSome: WriteSome;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** Bytes of the first waiting line that have been written. */
  #written = 0;
  /** Whether the last write was a part of a line that was then dropped. */
  #isCut = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(writeSome: WriteSome) {
    this.#writeSome = writeSome;
  }

  /** Writes one line. @param line  ends with a line feed */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#waitingBytes + bytes.length > maxWaitingBytes) this.#writeWaiting();
    if (this.#waitingBytes + bytes.length > maxWaitingBytes) {
      this.dropped++;
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#writeWaiting();
  }

  /**
   * Blocks until the reader has read all waiting lines. Gives up if the reader reads nothing for a second, and after ten
   * seconds in any case. For the end of the process.
   */
  flush(): void {
    const pause = new Int32Array(new SharedArrayBuffer(4));
    const unwritten = () => this.#waitingBytes - this.#written;
    let idle = 0;
    for (let attempt = 0; attempt < flushAttempts && idle < flushIdleAttempts; attempt++) {
      const before = unwritten();
      if (before === 0) return;
      Atomics.wait(pause, 0, 0, flushPauseMs);
      this.#writeWaiting();
      idle = unwritten() < before ? 0 : idle + 1;
    }
  }

  #writeWaiting(): void {
    try {
      if (this.#isCut) {
        this.#writeSome(lineFeed);
        this.#isCut = false;
      }
      for (let line = this.#waiting[0]; line !== undefined; line = this.#waiting[0]) {
        this.#written += this.#writeSome(line.subarray(this.#written));
        if (this.#written < line.length) continue;
        this.#waiting.shift();
        this.#waitingBytes -= line.length;
        this.#written = 0;
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") this.#retryLater();
      else this.#dropWaiting();
    }
  }

  #retryLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writeWaiting();
    }, retryMs).unref();
  }

  #dropWaiting(): void {
    this.dropped += this.#waiting.length;
    if (this.#written > 0) this.#isCut = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#written = 0;
  }
}

/** Registers the number of dropped lines. */
export function registerLogMetrics(metrics: Metrics, output: Pick<LogOutput, "dropped">): void {
  const help = "Lines of the log that could not be written";
  metrics.counterFrom("chihaya_log_dropped_total", help, () => output.dropped);
}

/** Opens standard error for the log of the process, and flushes it when the process ends. */
export function openLogOutput(): LogOutput {
  const fd = openWithoutBlocking(2);
  const output = new LogOutput((bytes) => writeSync(fd, bytes));
  process.on("exit", () => output.flush());
  return output;
}

/**
 * Returns a descriptor of the same file, pipe or terminal, whose writes fail with `EAGAIN` instead of waiting for a reader.
 * Opens a new descriptor if possible, because other processes share the flags of the old one.
 */
function openWithoutBlocking(fd: number): number {
  try {
    const stat = fstatSync(fd);
    if (!stat.isFIFO() && !stat.isSocket() && !isatty(fd)) return fd; // files have no reader to wait for
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    // A socket, a pipe of another user, or no /proc. Node makes pipes and sockets non-blocking when it opens them.
    void process.stderr;
    return fd;
  }
}
