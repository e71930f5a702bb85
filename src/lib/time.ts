import { parseDuration } from "./duration.ts";

/** The end of the year 9999, the last that RFC 3339 can write. In seconds since 1970, as all times here. */
export const lastTime = 253_402_300_799;

/** Formats a time by RFC 3339. @param seconds  at most {@link lastTime} */
export function formatTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

/** Parses a time of RFC 3339. @returns the time, rounded up to seconds, or undefined */
export function parseTime(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i.test(text)) return undefined;
  const milliseconds = Date.parse(text);
  return Number.isNaN(milliseconds) ? undefined : Math.ceil(milliseconds / 1000);
}

/**
 * Parses the end of something: a time of RFC 3339, or a duration from now.
 * @returns the time, which may be over; undefined for another text, or an end after {@link lastTime}
 */
export function parseEnd(text: string, now: number): number | undefined {
  const seconds = parseDuration(text);
  const end = seconds === undefined ? parseTime(text) : Math.ceil(now + seconds);
  return end !== undefined && end <= lastTime ? end : undefined;
}
