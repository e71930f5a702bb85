import type { Random } from "../../src/lib/clock.ts";

/**
 * Draws key words from a seeded generator, in place of the system's. None is 0, so memory that begins with them keeps them, see
 * `shareKeys`.
 */
export function seededKeys(count: number, random: Random): Int32Array {
  return Int32Array.from({ length: count }, () => random.next() ^ (random.next() << 16) || 1);
}
