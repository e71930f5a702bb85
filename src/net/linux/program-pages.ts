import { readFile } from "node:fs/promises";
import { Linux } from "./abi.ts";
import { type Libc, systemError } from "./libc.ts";

/** A range of memory. */
interface Mapping {
  address: number;
  length: number;
}

/**
 * Unmaps the pages of the program file and its libraries, about 45 MiB after a start: most of them served only the start.
 * The system keeps them in its page cache, and maps a page again when the process next uses the page. Reads the list of
 * mappings without blocking the thread.
 * @returns the number of bytes in the mappings
 * @throws Error if the system does not list the mappings, or refuses the call
 */
export async function releaseProgramPages(libc: Libc): Promise<number> {
  let bytes = 0;
  for (const { address, length } of cleanMappings(await readFile("/proc/self/smaps", "latin1"))) {
    if (libc.madvise(address, length, Linux.MADV_DONTNEED) < 0) throw systemError(libc, "madvise");
    bytes += length;
  }
  return bytes;
}

const header = /^([\da-f]+)-([\da-f]+) (\S+) \S+ \S+ \S+ *(.*)$/;

/**
 * Lists the mappings that the process cannot write to and whose pages are all the same as in their file. A page that the
 * dynamic linker has changed has no copy in the file, so a mapping with such pages must stay.
 * @param smaps  the contents of `/proc/self/smaps`
 */
export function cleanMappings(smaps: string): Mapping[] {
  const clean: Mapping[] = [];
  let candidate: Mapping | undefined;
  for (const line of smaps.split("\n")) {
    const [, start, end, permissions, file] = header.exec(line) ?? [];
    if (start !== undefined && end !== undefined) {
      const address = Number.parseInt(start, 16);
      const isReadOnly = permissions === "r-xp" || permissions === "r--p";
      const isFile = file?.startsWith("/") === true;
      candidate = isReadOnly && isFile ? { address, length: Number.parseInt(end, 16) - address } : undefined;
    } else if (candidate !== undefined && /^Anonymous: +0 kB$/.test(line)) {
      clean.push(candidate);
    }
  }
  return clean;
}
