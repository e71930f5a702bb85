import { execFile } from "node:child_process";
import { closeSync, constants, fstatSync, lstatSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { promisify } from "node:util";

/** Maximum length of a line in bytes. The rest of a longer line is skipped. */
const maxLine = 256;
const newline = 0x0a;

/** Reads lines from a named pipe, from all programs that write to it, until it is closed. */
export class PipeReader {
  readonly #socket: Socket;

  /** Opens the pipe, which is created if it is missing. @throws Error (the promise rejects) that names the path and the problem */
  static async open(path: string, take: (line: string) => void): Promise<PipeReader> {
    const isMissing = lstatSync(path, { throwIfNoEntry: false }) === undefined;
    if (isMissing) {
      await promisify(execFile)("mkfifo", ["-m", "600", "--", path]).catch((cause: Error) => {
        throw new Error(`cannot create the named pipe ${path}: ${cause.message.trim().split("\n").at(-1)}`, {
          cause,
        });
      });
    }
    const { O_RDWR, O_NONBLOCK, O_NOFOLLOW } = constants;
    if (!isMissing && !lstatSync(path).isFIFO()) throw notAPipe(path);
    // A reader that may also write sees no end when a writer closes the pipe.
    const fd = openSync(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW);
    if (!fstatSync(fd).isFIFO()) {
      closeSync(fd);
      throw notAPipe(path);
    }
    return new PipeReader(fd, take);
  }

  private constructor(fd: number, take: (line: string) => void) {
    const lines = new LineSplitter(take);
    this.#socket = new Socket({ fd, readable: true, writable: false });
    this.#socket.on("data", (bytes: Buffer) => lines.add(bytes));
    this.#socket.on("error", () => this.close());
    this.#socket.unref();
  }

  close(): void {
    this.#socket.destroy();
  }
}

function notAPipe(path: string): Error {
  return new Error(`${path} is no named pipe; remove the file, and the tracker creates the pipe`);
}

/** Splits bytes into lines, in bounded memory. */
export class LineSplitter {
  readonly #take: (line: string) => void;
  readonly #line = Buffer.alloc(maxLine);
  #length = 0;

  constructor(take: (line: string) => void) {
    this.#take = take;
  }

  add(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (byte === newline) {
        this.#take(this.#line.toString("latin1", 0, this.#length));
        this.#length = 0;
      } else if (this.#length < maxLine) this.#line[this.#length++] = byte;
    }
  }
}
