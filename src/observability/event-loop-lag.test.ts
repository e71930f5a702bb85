import assert from "node:assert/strict";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { test } from "node:test";
import { type DelayHistogram, EventLoopLag } from "./event-loop-lag.ts";

const ms = 1e6; // nanoseconds

/** A histogram whose ticks the test sets. */
class FakeHistogram implements DelayHistogram {
  ticks: number[] = [];
  isEnabled = false;
  get count(): number {
    return this.ticks.length;
  }
  get mean(): number {
    return this.ticks.reduce((sum, tick) => sum + tick, 0) / this.ticks.length;
  }
  get max(): number {
    return Math.max(0, ...this.ticks);
  }
  get percentiles(): Map<number, number> {
    const sorted = this.ticks.toSorted((a, b) => a - b);
    return new Map(sorted.map((tick, i) => [((i + 1) / sorted.length) * 100, tick]));
  }
  enable(): void {
    this.isEnabled = true;
  }
  disable(): void {
    this.isEnabled = false;
  }
  reset(): void {
    this.ticks = [];
  }
  /** Adds ticks that are late by so many milliseconds. */
  add(count: number, late: number): void {
    for (let i = 0; i < count; i++) this.ticks.push((100 + late) * ms);
  }
}

function setUp(): { histogram: FakeHistogram; time: { now: number }; lag: EventLoopLag } {
  const histogram = new FakeHistogram();
  const time = { now: 0 };
  const monitor = ({ resolution }: { resolution: number }) => {
    assert.equal(resolution, 100);
    return histogram;
  };
  return { histogram, time, lag: new EventLoopLag(monitor, () => time.now) };
}

test("nothing is measured before the first reading, and after the stop", () => {
  const { histogram, lag } = setUp();
  assert.ok(!histogram.isEnabled);
  assert.deepEqual(lag.read(), { mean: 0, p50: 0, p99: 0, max: 0 });
  assert.ok(histogram.isEnabled);
  lag.stop();
  lag.stop();
  assert.ok(!histogram.isEnabled);
});

test("lag is what comes on top of the interval", () => {
  const { histogram, time, lag } = setUp();
  lag.read();
  histogram.add(980, 0);
  histogram.add(15, 100);
  histogram.add(5, 1000);
  time.now = 15_000;
  const { mean, ...rest } = lag.read();
  assert.deepEqual(rest, { p50: 0, p99: 0.1, max: 1 });
  assert.equal(mean.toFixed(6), "0.006500");
});

test("readers with other intervals do not disturb each other: each sees the last minute", () => {
  const { histogram, time, lag } = setUp();
  lag.read();
  histogram.add(50, 0);
  histogram.add(50, 200);
  for (time.now = 1000; time.now <= 59_000; time.now += 1000) {
    assert.equal(lag.read().max, 0.2, `${time.now}`);
    histogram.add(50, 0);
  }
  assert.equal(lag.read().p50, 0);
  time.now = 66_000;
  assert.equal(lag.read().max, 0, "the slice is older than a minute");
});

test("a reader that comes more rarely sees all since its last reading", () => {
  const { histogram, time, lag } = setUp();
  lag.read();
  for (const late of [100, 200, 300]) {
    histogram.add(10, late);
    time.now += 300_000;
    const { p50, max } = lag.read();
    assert.deepEqual([p50, max], [late / 1000, late / 1000]);
  }
});

test("Node's histogram can be read, and shows no lag where it has seen nothing", () => {
  const lag = new EventLoopLag((options) => monitorEventLoopDelay(options));
  const none = { mean: 0, p50: 0, p99: 0, max: 0 };
  assert.deepEqual([lag.read(), lag.read()], [none, none]);
  lag.stop();
});
