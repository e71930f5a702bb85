/** A number that is not known. */
const unknown = "–";

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** Writes a whole number in full: `12,345`. */
export function formatCount(value: number | null | undefined): string {
  return isKnown(value) ? grouped.format(value) : unknown;
}

/** Writes a number with three digits and a prefix: `1.23 M`, `12.3 k`, `0.04`. */
export function formatNumber(value: number | null | undefined): string {
  if (!isKnown(value)) return unknown;
  return scale(value, 1000, ["", "k", "M", "G", "T"]);
}

/** Writes a number per second: `1.23 k/s`. */
export function formatRate(value: number | null | undefined): string {
  return isKnown(value) ? `${formatNumber(value)}/s` : unknown;
}

/** Writes bytes with a binary prefix: `1.23 GiB`. */
export function formatBytes(value: number | null | undefined): string {
  if (!isKnown(value)) return unknown;
  return scale(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
}

/** Writes a share of 1 as a percentage: `12.3 %`. */
export function formatShare(value: number | null | undefined): string {
  return isKnown(value) ? `${digits(value * 100)} %` : unknown;
}

/** Writes milliseconds: `12 µs`, `1.23 ms`, `4.5 s`. */
export function formatMilliseconds(value: number | null | undefined): string {
  if (!isKnown(value)) return unknown;
  if (value === 0) return "0 ms";
  if (value < 0.9995) return `${digits(value * 1000)} µs`;
  return value < 999.5 ? `${digits(value)} ms` : `${digits(value / 1000)} s`;
}

/** Writes seconds in the two largest units: `3 d 4 h`, `12 min`, `45 s`. */
export function formatDuration(seconds: number | null | undefined): string {
  if (!isKnown(seconds)) return unknown;
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ] as const;
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return "0 s";
  const shown = parts.slice(first, first + 2).filter(([amount], i) => i === 0 || amount > 0);
  return shown.map(([amount, unit]) => `${amount} ${unit}`).join(" ");
}

function isKnown(value: number | null | undefined): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function scale(value: number, base: number, units: readonly string[]): string {
  let scaled = value;
  let unit = 0;
  // 999.5 would be written as 1000.
  while (Math.abs(scaled) >= base - base / 2000 && unit < units.length - 1) {
    scaled /= base;
    unit++;
  }
  const text = units[unit] === "B" ? `${Math.round(scaled)}` : digits(scaled);
  return units[unit] === "" ? text : `${text} ${units[unit]}`;
}

/** Three digits, without zeros at the end of a whole number. */
function digits(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value)) return `${value}`;
  if (size < 0.005) return "0";
  return value.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}
