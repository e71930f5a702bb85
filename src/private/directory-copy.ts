import type { DirectoryMemory } from "./directory.ts";

/** A copy of all tables of a directory, for the disk or for another tracker. */
export interface DirectoryCopy {
  /** Bytes of each table, in their order. */
  sizes: Record<string, number>;
  tables: Buffer[];
}

/** Copies all tables in one step, because the accountant changes them later. */
export function copyDirectory(memory: DirectoryMemory): DirectoryCopy {
  const copies = Object.entries(memory).map(
    ([name, table]) => [name, Buffer.from(new Uint8Array(table))] as const,
  );
  return {
    sizes: Object.fromEntries(copies.map(([name, { length }]) => [name, length])),
    tables: copies.map(([, bytes]) => bytes),
  };
}

/** Makes the memory of a directory of the bytes of a copy. */
export function restoreDirectory(sizes: DirectoryCopy["sizes"], bytes: Uint8Array): DirectoryMemory {
  let at = 0;
  const tables = Object.entries(sizes).map(([name, size]) => {
    const table = new SharedArrayBuffer(size);
    new Uint8Array(table).set(bytes.subarray(at, at + size));
    at += size;
    return [name, table];
  });
  return Object.fromEntries(tables) as DirectoryMemory;
}
