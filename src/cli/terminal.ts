import { legibleLines } from "../lib/legible.ts";

/** Writes to standard output, without control characters that a terminal would obey. */
export function print(text: string): void {
  process.stdout.write(legibleLines(text));
}

/** Writes bytes to standard output as they are, for a file or another program. */
export function printBytes(bytes: Uint8Array): void {
  process.stdout.write(bytes);
}

/** Writes to standard error, without control characters that a terminal would obey. */
export function complain(text: string): void {
  process.stderr.write(legibleLines(text));
}

const enter = "\u001b[?1049h\u001b[?25l";
const leave = "\u001b[?25h\u001b[?1049l";
const home = "\u001b[H";
const clearLine = "\u001b[K";
const clearBelow = "\u001b[J";

/** The whole terminal, for a command that draws again and again. */
export class Screen {
  #end: (() => void) | undefined;
  #hasEnded = false;
  #onResize = (): void => undefined;

  /** Whether standard output is a terminal. */
  get isTerminal(): boolean {
    return process.stdout.isTTY === true;
  }

  get size(): { columns: number; rows: number } {
    const { columns, rows } = process.stdout;
    return { columns: columns || 80, rows: rows || 24 };
  }

  /** Takes the terminal, until `close`. The keys q and Ctrl-C, and a signal, end {@link waitForEnd}. */
  open(onResize: () => void): void {
    process.stdout.write(enter);
    this.#onResize = onResize;
    process.stdout.on("resize", this.#onResize);
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(true);
      process.stdin.on("data", this.#onKeys).resume();
    }
    for (const signal of endingSignals) process.on(signal, this.#finish);
  }

  /** Gives the terminal back as it was. */
  close(): void {
    process.stdout.off("resize", this.#onResize);
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(false);
      process.stdin.off("data", this.#onKeys).pause();
    }
    for (const signal of endingSignals) process.off(signal, this.#finish);
    process.stdout.write(leave);
  }

  /** Draws lines, which must have no control characters but those of styles: escape foreign texts with `legible`. */
  draw(lines: readonly string[]): void {
    process.stdout.write(`${home}${lines.map((line) => line + clearLine).join("\r\n")}${clearBelow}`);
  }

  /** Prints lines for a file or a pipe. */
  printPlain(lines: readonly string[]): void {
    print(`${lines.join("\n")}\n`);
  }

  /** Waits. @returns whether a key or a signal has ended the command meanwhile */
  async waitForEnd(ms: number): Promise<boolean> {
    if (!this.#hasEnded) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#end = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#end = undefined;
    }
    return this.#hasEnded;
  }

  readonly #onKeys = (keys: Buffer): void => {
    if (/[qQ\u0003\u0004]/.test(keys.toString("latin1"))) this.#finish();
  };

  readonly #finish = (): void => {
    this.#hasEnded = true;
    this.#end?.();
  };
}

/** Signals that end a command. */
export const endingSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
