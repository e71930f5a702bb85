import type { Random } from "../../src/lib/clock.ts";

/** Bytes that parsers trip over: ends of ranges, and the marks of HTTP, queries, bencode and YAML. */
const telling = Uint8Array.from([
  ...[0, 1, 2, 4, 0x7f, 0x80, 0xc0, 0xff],
  ...Buffer.from("\r\n\t %&=?#;:/+-0:deil,[]{}\"'&*!|>@`~$"),
]);
const tellingWords = [0, 1, 2, 3, 4, 5, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff, 0x10000] as const;

/** A number from 0 to `limit` - 1. */
export function below(random: Random, limit: number): number {
  return random.next() % limit;
}

/** One of `values`. */
export function pick<T>(random: Random, values: readonly T[]): T {
  return values[random.next() % values.length]!;
}

/** True once in `n` times. */
export function oneIn(random: Random, n: number): boolean {
  return random.next() % n === 0;
}

/**
 * Changes `bytes[at..at+length)` in place in one to four ways: bits, bytes and words, pieces that are cut, moved,
 * repeated or overwritten, another length.
 * @param capacity  bytes that it may grow to
 * @returns the new length
 */
export function mutate(
  random: Random,
  bytes: Uint8Array,
  at: number,
  length: number,
  capacity: number,
): number {
  for (let times = 1 + below(random, 4); times > 0; times--) {
    const position = at + (length === 0 ? 0 : below(random, length));
    const end = at + length;
    switch (length === 0 ? 9 : below(random, 10)) {
      case 0:
        bytes[position]! ^= 1 << below(random, 8);
        break;
      case 1:
        bytes[position] = random.next();
        break;
      case 2:
        bytes[position] = telling[below(random, telling.length)]!;
        break;
      case 3: {
        const word = pick(random, tellingWords);
        for (let i = 0; i < 4 && position + i < end; i++) bytes[position + i] = word >>> (24 - 8 * i);
        break;
      }
      case 4: // cut the end
        length = position - at;
        break;
      case 5: {
        // cut a piece out
        const size = Math.min(1 + below(random, 32), end - position);
        bytes.copyWithin(position, position + size, end);
        length -= size;
        break;
      }
      case 6: {
        // repeat a piece
        const size = Math.min(1 + below(random, 64), end - position, capacity - length);
        bytes.copyWithin(position + size, position, end);
        length += size;
        break;
      }
      case 7: // move a piece over another
        bytes.copyWithin(at + below(random, length), position, Math.min(position + 32, end));
        length = Math.min(length, capacity);
        break;
      case 8:
        bytes.fill(
          telling[below(random, telling.length)]!,
          position,
          Math.min(position + below(random, 64), end),
        );
        break;
      default: {
        // grow
        const size = Math.min(below(random, oneIn(random, 8) ? 2048 : 32), capacity - length);
        const byte = oneIn(random, 2) ? random.next() : -1;
        for (let i = 0; i < size; i++) bytes[end + i] = byte < 0 ? random.next() : byte;
        length += size;
      }
    }
  }
  return length;
}
