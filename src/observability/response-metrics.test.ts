import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientError, internalError } from "../bittorrent/client-error.ts";
import { Metrics } from "./metrics.ts";
import { ResponseMetrics } from "./response-metrics.ts";

type Series = ReturnType<Metrics["snapshot"]>[number]["series"][number];

const labelsOf = ({ labels: { action, address_family, error } }: Series) =>
  `${action} ${address_family} ${error}`;

/** Series that have counted something. */
function counted(metrics: Metrics): Series[] {
  return metrics.snapshot()[0]!.series.filter(({ values }) => values.some((value) => value > 0));
}

const labels = (metrics: Metrics) => counted(metrics).map(labelsOf);

test("all series of this project's errors begin at 0", () => {
  const metrics = new Metrics();
  void new ClientError("cannot read that", "invalid-query");
  const late = new ResponseMetrics(metrics, "http");
  const series = () => metrics.snapshot()[0]!.series.map(labelsOf);
  const begun = series();
  for (const expected of [
    "announce IPv4 ",
    "scrape IPv6 ",
    "announce IPv6 internal error",
    "scrape IPv4 tracker is overloaded",
    "announce Unknown cannot read that",
  ]) {
    assert.ok(begun.includes(expected), expected);
  }
  // What cannot come has no series.
  assert.ok(!begun.some((one) => /^connect|^announce IPv4 cannot|bad connection/.test(one)));
  void new ClientError("of another hook", "unapproved-torrent");
  late.declare();
  assert.ok(series().includes("scrape IPv6 of another hook"));
});

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
  assert.equal(counted(metrics).length, 1);
  for (let k = 0, bound = 9.375; k < 10; k++, bound *= 2) assert.ok(family?.buckets.includes(bound));
  assert.equal(counted(metrics)[0]?.values.at(-1), 5019.375);
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
  assert.ok(metrics.snapshot()[0]!.series.length < 2 * 4 * 3 * 90);
});
