import type { FamilySnapshot, Labels } from "./metrics.ts";

/** Media type of {@link renderPrometheus}. */
export const prometheusContentType = "text/plain; version=0.0.4; charset=utf-8";

/**
 * Renders a snapshot in Prometheus' text exposition format 0.0.4, in the order of the snapshot. Omits families without
 * series. Renders an empty histogram of an error with its last bucket, sum and count only, because most series of response
 * times belong to errors that never occur. All other histograms have all buckets from the start: if a bucket appeared with
 * its first observation, `rate` would miss that observation, and `histogram_quantile` would be too high.
 */
export function renderPrometheus(snapshot: readonly FamilySnapshot[]): string {
  let text = "";
  for (const { name, help, kind, buckets, series } of snapshot) {
    if (series.length === 0) continue;
    text += `# HELP ${name} ${escapeText(help)}\n# TYPE ${name} ${kind}\n`;
    for (const { labels, values } of series) {
      if (kind !== "histogram") {
        text += `${name}${labelText(labels)} ${numberText(values[0]!)}\n`;
        continue;
      }
      let count = 0;
      const isShort = (labels.error ?? "") !== "" && values.slice(0, -1).every((value) => value === 0);
      for (let i = isShort ? buckets.length : 0; i <= buckets.length; i++) {
        count += values[i]!;
        const le = i < buckets.length ? numberText(buckets[i]!) : "+Inf";
        text += `${name}_bucket${labelText({ ...labels, le })} ${count}\n`;
      }
      text += `${name}_sum${labelText(labels)} ${numberText(values[buckets.length + 1]!)}\n`;
      text += `${name}_count${labelText(labels)} ${count}\n`;
    }
  }
  return text;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${escapeText(value).replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeText(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}
