import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { explainSystemError } from "./file-errors.ts";

/** The size limit of a text file in bytes, unless the caller passes another. */
const maxFileSize = 1 << 20;

/**
 * Reads a text file, which may be a pipe.
 * @returns the text without its byte order mark, or the problem
 */
export function readText(path: string, limit: number = maxFileSize): { text: string } | { problem: string } {
  let bytes: Uint8Array;
  try {
    bytes = readAtMost(path, limit + 1);
  } catch (error) {
    return { problem: explainSystemError(error) };
  }
  if (bytes.length > limit) return { problem: `the file is larger than ${limit} bytes` };
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return { problem: "the file is not UTF-8 text; save it as UTF-8" };
  }
}

/** How long to wait for the writer of a named pipe, and the pause between two tries, in milliseconds. */
const pipeWaitMs = 5000;
const pipePauseMs = 10;

function readAtMost(path: string, limit: number): Uint8Array {
  // Pipes of this process, such as `/dev/stdin` and `/dev/fd/63`, have their writer already.
  const isOwn = /^\/(dev|proc)\//.test(path);
  const file = openSync(path, constants.O_RDONLY | (isOwn ? 0 : constants.O_NONBLOCK));
  try {
    const isPipe = !isOwn && fstatSync(file).isFIFO();
    const buffer = new Uint8Array(limit);
    const end = performance.now() + pipeWaitMs;
    let length = 0;
    while (length < limit) {
      const count = readSome(file, buffer.subarray(length));
      if (count > 0) length += count;
      else if (count === 0 && (length > 0 || !isPipe)) break;
      else if (performance.now() < end) Atomics.wait(never, 0, 0, pipePauseMs);
      else
        throw new Error(
          `the file is a named pipe, and its writer did not finish within ${pipeWaitMs / 1000} s`,
        );
    }
    return buffer.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

const never = new Int32Array(new SharedArrayBuffer(4));

/**
 * @returns the number of bytes; 0 at the end or for a pipe without a writer; -1 if the pipe's writer has not written
 * yet
 */
function readSome(file: number, into: Uint8Array): number {
  try {
    return readSync(file, into, 0, into.length, null);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return -1;
    throw error;
  }
}
