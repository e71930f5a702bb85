import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics, mergeSnapshots } from "./metrics.ts";

test("a name and its labels, in whatever order, are one series", () => {
  const metrics = new Metrics();
  metrics.counter("a_total", "", { x: "1", y: "2" }).inc();
  metrics.counter("a_total", "", { y: "2", x: "1" }).inc(3);
  metrics.counter("a_total", "", { x: "1", y: "3" }).inc();
  assert.deepEqual(
    metrics.snapshot()[0]?.series.map((series) => series.values),
    [[4], [1]],
  );
});

test("an observation falls into the first bucket that is not below it", () => {
  const metrics = new Metrics();
  const histogram = metrics.histogram("h", "", [1, 2]);
  for (const value of [0, 1, 1.5, 2, 2.1, 1000]) histogram.observe(value);
  assert.deepEqual(metrics.snapshot()[0]?.series[0]?.values, [2, 2, 2, 1006.6]);
});

test("gauges are read at each snapshot, and one that fails is left out", () => {
  const metrics = new Metrics();
  let value = 1;
  metrics.gauge("g", "", () => value, { of: "good" });
  metrics.gauge(
    "g",
    "",
    () => {
      throw new Error("broken");
    },
    { of: "bad" },
  );
  assert.deepEqual(metrics.snapshot()[0]?.series, [{ labels: { of: "good" }, values: [1] }]);
  value = 2;
  assert.deepEqual(metrics.snapshot()[0]?.series, [{ labels: { of: "good" }, values: [2] }]);
});

test("of several readers the newest counts that is there and does not fail", () => {
  const metrics = new Metrics();
  const shown = () => metrics.snapshot()[0]?.series.map(({ values }) => values[0]);
  const read = () => 1;
  const withdraw = metrics.gauge("g", "", read);
  let isBroken = false;
  const withdrawNewer = metrics.gauge("g", "", () => {
    if (isBroken) throw new Error("broken");
    return 2;
  });
  assert.deepEqual(shown(), [2]);
  isBroken = true;
  assert.deepEqual(shown(), [1]);
  isBroken = false;
  withdraw();
  withdraw();
  assert.deepEqual(shown(), [2]);
  withdrawNewer();
  assert.deepEqual(shown(), []);
});

test("readers that nobody withdraws are not kept without end", () => {
  const metrics = new Metrics();
  let reads = 0;
  for (let time = 0; time < 100; time++) {
    metrics.counterFrom("c_total", "", () => {
      reads++;
      throw new Error("broken");
    });
  }
  metrics.snapshot();
  assert.ok(reads < 10);
});

test("what comes and goes is counted by all together", () => {
  const metrics = new Metrics();
  const [one, other] = [metrics.upDownCounter("g", ""), metrics.upDownCounter("g", "")];
  one.inc();
  other.inc();
  one.inc(-1);
  assert.deepEqual(metrics.snapshot()[0], {
    ...{ name: "g", help: "", kind: "gauge", merge: "sum", buckets: [] },
    series: [{ labels: {}, values: [1] }],
  });
});

test("the order of a snapshot does not depend on the order of registration", () => {
  const metrics = new Metrics();
  metrics.counter("b_total", "");
  metrics.counter("a_total", "", { x: "2" });
  metrics.counter("a_total", "", { x: "1" });
  const order = metrics.snapshot().map(({ name, series }) => [name, series.map(({ labels }) => labels.x)]);
  assert.deepEqual(order, [
    ["a_total", ["1", "2"]],
    ["b_total", [undefined]],
  ]);
});

test("a registration that contradicts an earlier one or Prometheus is refused", () => {
  const metrics = new Metrics(3);
  metrics.histogram("h", "", [1]);
  assert.throws(() => metrics.counter("h", ""), /h is a histogram already, not a counter/);
  assert.throws(() => metrics.histogram("h", "", [2]), /h has other buckets already/);
  assert.throws(() => metrics.gauge("a-b", "", () => 0), /not the name of a metric: a-b/);
  assert.throws(() => metrics.gauge("g", "", () => 0, { le: "1" }), /g cannot have a label le/);
  assert.throws(() => metrics.counter("c_total", ""), /no room for metric c_total/);
});

test("a scrape waits for what it refreshes", async () => {
  const metrics = new Metrics();
  let value = 0;
  metrics.gauge("g", "", () => value);
  metrics.beforeScrape(async () => {
    await Promise.resolve();
    value = 7;
  });
  metrics.beforeScrape(() => {
    throw new Error("broken");
  });
  assert.deepEqual((await metrics.scrape())[0]?.series[0]?.values, [7]);
});

test("a scrape does not wait for ever", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const metrics = new Metrics();
  metrics.counter("a_total", "").inc();
  metrics.beforeScrape(() => new Promise(() => {}));
  const scrape = metrics.scrape(500);
  t.mock.timers.tick(500);
  assert.deepEqual((await scrape)[0]?.series[0]?.values, [1]);
});

test("snapshots of several threads add up", () => {
  const threads = [new Metrics(), new Metrics()];
  for (const [i, metrics] of threads.entries()) {
    metrics.counter("both_total", "help", { of: "same" }).inc(i + 1);
    metrics.counter("both_total", "help", { of: `own ${i}` }).inc();
    metrics.histogram("h", "", [1]).observe(i + 0.5);
  }
  threads[1]?.counter("a_total", "").inc();
  const merged = mergeSnapshots(structuredClone(threads.map((metrics) => metrics.snapshot())));
  assert.deepEqual(
    merged.map(({ name, series }) => [name, series.map(({ values }) => values)]),
    [
      ["a_total", [[1]]],
      ["both_total", [[1], [1], [3]]],
      ["h", [[1, 1, 2]]],
    ],
  );
  assert.deepEqual(threads[0]?.snapshot().find(({ name }) => name === "h")?.series[0]?.values, [1, 0, 0.5]);
});

test("of a gauge that all threads have in common, the smallest value counts", () => {
  const snapshots = [20, 10, 30].map((value) => {
    const metrics = new Metrics();
    metrics.gauge("expiry_seconds", "", () => value, { of: "x" }, "min");
    return metrics.snapshot();
  });
  assert.deepEqual(mergeSnapshots(structuredClone(snapshots))[0]?.series, [
    { labels: { of: "x" }, values: [10] },
  ]);
});
