import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics } from "./metrics.ts";
import { renderPrometheus } from "./prometheus.ts";

test("the text is that of the exposition format 0.0.4", () => {
  const metrics = new Metrics();
  metrics.counter("requests_total", "What came in", { action: "scrape" }).inc(2);
  metrics.counter("requests_total", "What came in", { action: "announce" }).inc(1234567);
  metrics.gauge("lag_seconds", "How late", () => 0.25);
  const histogram = metrics.histogram("size_bytes", "How big", [0.5, 10], { of: "x" });
  for (const value of [0.25, 0.5, 3, 100]) histogram.observe(value);
  assert.equal(
    renderPrometheus(metrics.snapshot()),
    `# HELP lag_seconds How late
# TYPE lag_seconds gauge
lag_seconds 0.25
# HELP requests_total What came in
# TYPE requests_total counter
requests_total{action="announce"} 1234567
requests_total{action="scrape"} 2
# HELP size_bytes How big
# TYPE size_bytes histogram
size_bytes_bucket{of="x",le="0.5"} 2
size_bytes_bucket{of="x",le="10"} 3
size_bytes_bucket{of="x",le="+Inf"} 4
size_bytes_sum{of="x"} 103.75
size_bytes_count{of="x"} 4
`,
  );
});

test("an empty histogram has all buckets, except that of an error", () => {
  const metrics = new Metrics();
  metrics.histogram("a_seconds", "", [1], { error: "" });
  metrics.histogram("a_seconds", "", [1], { error: "too late" });
  const buckets = renderPrometheus(metrics.snapshot()).match(/^a_seconds_bucket.*$/gm);
  assert.deepEqual(buckets, [
    'a_seconds_bucket{error="",le="1"} 0',
    'a_seconds_bucket{error="",le="+Inf"} 0',
    'a_seconds_bucket{error="too late",le="+Inf"} 0',
  ]);
});

test("backslashes and line feeds are escaped, quotation marks in label values only", () => {
  const metrics = new Metrics();
  metrics.counter("a_total", 'C:\\ "x"\ny', { path: 'C:\\ "x"\ny' });
  assert.equal(
    renderPrometheus(metrics.snapshot()),
    '# HELP a_total C:\\\\ "x"\\ny\n# TYPE a_total counter\na_total{path="C:\\\\ \\"x\\"\\ny"} 0\n',
  );
});

for (const [value, text] of [
  [Number.POSITIVE_INFINITY, "+Inf"],
  [Number.NEGATIVE_INFINITY, "-Inf"],
  [Number.NaN, "NaN"],
  [1e-7, "1e-7"],
  [1e21, "1e+21"],
] as const) {
  test(`${value} is written as Prometheus reads it`, () => {
    const metrics = new Metrics();
    metrics.gauge("g", "", () => value);
    assert.match(renderPrometheus(metrics.snapshot()), new RegExp(`^g ${text.replace("+", "\\+")}$`, "m"));
  });
}

test("a family whose series are all left out is left out too", () => {
  const metrics = new Metrics();
  metrics.gauge("g", "", () => {
    throw new Error("broken");
  });
  assert.equal(renderPrometheus(metrics.snapshot()), "");
});
