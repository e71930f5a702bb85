import { AnnounceEvent } from "../bittorrent/event.ts";
import { startsWithName } from "./http/ascii.ts";

/** The number of values of a 32-bit word. */
export const wordRange: number = 2 ** 32;

/**
 * Writes a decimal number of any length as two 32-bit words at `counters[at]`, low word first; saturates at 2^64-1.
 * @param unknown  the value of both words if the bytes are not an unsigned decimal number
 */
export function parseCounter(
  bytes: Uint8Array,
  start: number,
  end: number,
  counters: Uint32Array,
  at: number,
  unknown: number,
): void {
  let low = 0;
  let high = 0; // a double: `high` may exceed a word, and even reach infinity
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) {
      end = start;
      break;
    }
    low = low * 10 + digit;
    high *= 10;
    if (low >= wordRange) {
      high += Math.floor(low / wordRange);
      low >>>= 0;
    }
  }
  if (start === end) low = high = unknown;
  else if (high >= wordRange) low = high = wordRange - 1;
  counters[at] = low;
  counters[at + 1] = high;
}

/** Parses an unsigned decimal number. @returns the number (infinity if huge), or -1 for other bytes */
export function parseNumber(bytes: Uint8Array, start: number, end: number): number {
  if (start === end) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** Parses the name of an event, in any case. @returns the event; none for an unknown name */
export function parseEvent(bytes: Uint8Array, start: number, end: number): AnnounceEvent {
  const length = end - start;
  if (length === 7 && startsWithName(bytes, start, "started")) return AnnounceEvent.started;
  if (length === 7 && startsWithName(bytes, start, "stopped")) return AnnounceEvent.stopped;
  if (length === 9 && startsWithName(bytes, start, "completed")) return AnnounceEvent.completed;
  if (length === 6 && startsWithName(bytes, start, "paused")) return AnnounceEvent.paused;
  return AnnounceEvent.none;
}
