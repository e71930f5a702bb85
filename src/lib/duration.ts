/** Nanoseconds of each unit in Go's durations. */
const units: Record<string, number> = {
  h: 3600e9,
  m: 60e9,
  s: 1e9,
  ms: 1e6,
  us: 1e3,
  "\u00b5s": 1e3, // micro sign
  "\u03bcs": 1e3, // Greek letter mu
  ns: 1,
};

const part = /(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|\u00b5s|\u03bcs|ns)/y;

/**
 * Parses a duration in Go's form: `30m`, `1h30m`, `1.5s`, `500ms`, and `0`.
 * @returns seconds, or undefined for any other text (a bare or a negative number too)
 */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  let nanoseconds = 0;
  part.lastIndex = 0;
  do {
    const match = part.exec(text);
    if (match === null) return undefined;
    nanoseconds += Math.round(Number(match[1]) * units[match[2]!]!);
  } while (part.lastIndex < text.length);
  return nanoseconds / 1e9;
}
