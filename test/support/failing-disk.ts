import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import type { TestContext } from "node:test";

/** Lets a disk fail until the returned function is called, or the test ends. */
type Fail = (t: TestContext) => () => void;

function noSpace(): never {
  throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
}

function failing(name: "writeSync" | "fdatasyncSync" | "openSync", fail: (...args: never[]) => never): Fail {
  return (t) => {
    const mock = t.mock.method(fs, name, fail as never);
    syncBuiltinESMExports();
    return () => {
      mock.mock.restore();
      syncBuiltinESMExports();
    };
  };
}

const { writeSync } = fs;

/** The disk takes nothing. */
export const failWrites: Fail = failing("writeSync", noSpace);
/** The disk takes half of each write, and then nothing. */
export const failHalfWrites: Fail = failing(
  "writeSync",
  (fd: number, bytes: Uint8Array, from: number, length: number, at: number) => {
    writeSync(fd, bytes, from, length >> 1, at);
    noSpace();
  },
);
/** The disk takes all bytes, but does not confirm that they are safe. */
export const failSyncs: Fail = failing("fdatasyncSync", noSpace);
/** No file can be opened or created. */
export const failOpens: Fail = failing("openSync", noSpace);
