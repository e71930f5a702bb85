import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientError, internalError } from "../bittorrent/client-error.ts";
import { Metrics } from "./metrics.ts";
import { ResponseMetrics } from "./response-metrics.ts";

function labels(metrics: Metrics): string[] {
  return (metrics.snapshot()[0]?.series ?? []).map(
    ({ labels: { action, address_family, error } }) => `${action} ${address_family} ${error}`,
  );
}

test("a response is counted by action, address family and error, as by Chihaya", () => {
  const metrics = new Metrics();
  const responses = new ResponseMetrics(metrics, "http");
  responses.observe("announce", 4, undefined, 1);
  responses.observe("announce", 6, undefined, 1);
  responses.observe("scrape", undefined, new ClientError("no info_hash", "missing-infohash"), 1);
  responses.observe("scrape", 4, internalError, 1);
  responses.observe("scrape", 4, new ClientError("go away"), 1);
  assert.deepEqual(labels(metrics), [
    "announce IPv4 ",
    "announce IPv6 ",
    "scrape IPv4 go away",
    "scrape IPv4 internal error",
    "scrape Unknown no info_hash",
  ]);
  assert.equal(metrics.snapshot()[0]?.name, "chihaya_http_response_duration_milliseconds");
});

test("responses with the same labels are one series with Chihaya's buckets in it", () => {
  const metrics = new Metrics();
  const responses = new ResponseMetrics(metrics, "udp");
  const error = new ClientError("bad connection ID", "bad-connection-id");
  for (const milliseconds of [0, 9.375, 10, 5000]) responses.observe("", 4, error, milliseconds);
  const family = metrics.snapshot()[0];
  assert.equal(family?.series.length, 1);
  for (let k = 0, bound = 9.375; k < 10; k++, bound *= 2) assert.ok(family?.buckets.includes(bound));
  assert.equal(family?.series[0]?.values.at(-1), 5019.375);
});

test("texts of hooks are bounded, whatever a hook invents", () => {
  const metrics = new Metrics();
  const responses = new ResponseMetrics(metrics, "udp");
  for (let i = 0; i < 1000; i++) responses.observe("announce", 4, new ClientError(`no ${i}`), 0);
  responses.observe("announce", 4, new ClientError(""), 0);
  const series = labels(metrics);
  assert.equal(series.length, 65);
  assert.ok(series.includes("announce IPv4 other"));
  assert.ok(!series.includes("announce IPv4 "));
});

test("every label that can be fits into the metrics of one thread", () => {
  const metrics = new Metrics();
  const errors = Array.from({ length: 64 }, (_, i) => new ClientError(`hook ${i}`));
  for (let i = 0; i < 24; i++) errors.push(new ClientError(`own ${i}`, "invalid-parameter"));
  for (const responses of [new ResponseMetrics(metrics, "http"), new ResponseMetrics(metrics, "udp")]) {
    for (const action of ["connect", "announce", "scrape", ""]) {
      for (const family of [undefined, 4, 6] as const) {
        for (const error of [undefined, internalError, ...errors])
          responses.observe(action, family, error, 1);
      }
    }
  }
  assert.equal(labels(metrics).length, 4 * 3 * 90);
});
