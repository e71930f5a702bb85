import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientError, internalError } from "../bittorrent/client-error.ts";
import { http } from "../frontend/http/index.ts";
import { udp } from "../frontend/udp/index.ts";
import type { Family } from "../ip/address.ts";
import { Metrics } from "./metrics.ts";
import { ResponseMetrics } from "./response-metrics.ts";

type Series = ReturnType<Metrics["snapshot"]>[number]["series"][number];

const labelsOf = ({ labels: { action, address_family, error } }: Series) =>
  `${action} ${address_family} ${error}`;

const histogramOf = (metrics: Metrics) => metrics.snapshot().find(({ kind }) => kind === "histogram")!;

/** Series that have counted something. */
function counted(metrics: Metrics): Series[] {
  return histogramOf(metrics).series.filter(({ values }) => values.some((value) => value > 0));
}

/** Metrics of a frontend, all of whose series are there. */
function declared(
  metrics: Metrics,
  { name, requests }: Pick<typeof udp, "name" | "requests">,
): ResponseMetrics {
  const others = Object.keys({ ...http.requests?.unreadable, ...udp.requests?.unreadable });
  const responses = new ResponseMetrics(metrics, name, requests, new Set(others));
  responses.declare();
  return responses;
}

/** Ends a request. */
function end(
  responses: ResponseMetrics,
  action: string,
  family: Family | undefined,
  error: ClientError | undefined,
  milliseconds: number,
  reason?: string,
): void {
  responses.requestEnded({ frontend: "any", action, family, error, reason, startedMs: 1, milliseconds });
}

const labels = (metrics: Metrics) => counted(metrics).map(labelsOf);

test("all series of this project's errors begin at 0", () => {
  const metrics = new Metrics();
  void new ClientError("cannot read that", "invalid-query");
  const late = declared(metrics, http);
  const series = () => histogramOf(metrics).series.map(labelsOf);
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
  const responses = declared(metrics, http);
  end(responses, "announce", 4, undefined, 1);
  end(responses, "announce", 6, undefined, 1);
  end(responses, "scrape", undefined, new ClientError("no info_hash", "missing-infohash"), 1);
  end(responses, "scrape", 4, internalError, 1);
  end(responses, "scrape", 4, new ClientError("go away"), 1);
  assert.deepEqual(labels(metrics), [
    "announce IPv4 ",
    "announce IPv6 ",
    "scrape IPv4 go away",
    "scrape IPv4 internal error",
    "scrape Unknown no info_hash",
  ]);
  assert.equal(histogramOf(metrics).name, "chihaya_http_response_duration_milliseconds");
});

test("responses with the same labels are one series with Chihaya's buckets in it", () => {
  const metrics = new Metrics();
  const responses = declared(metrics, udp);
  const error = new ClientError("bad connection ID", "bad-connection-id");
  for (const milliseconds of [0, 9.375, 10, 5000]) end(responses, "", 4, error, milliseconds);
  const family = histogramOf(metrics);
  assert.equal(counted(metrics).length, 1);
  for (let k = 0, bound = 9.375; k < 10; k++, bound *= 2) assert.ok(family.buckets.includes(bound));
  assert.equal(counted(metrics)[0]?.values.at(-1), 5019.375);
});

test("texts of hooks are bounded, whatever a hook invents", () => {
  const metrics = new Metrics();
  const responses = declared(metrics, udp);
  for (let i = 0; i < 1000; i++) end(responses, "announce", 4, new ClientError(`no ${i}`), 0);
  end(responses, "announce", 4, new ClientError(""), 0);
  const series = labels(metrics);
  assert.equal(series.length, 65);
  assert.ok(series.includes("announce IPv4 other"));
  assert.ok(!series.includes("announce IPv4 "));
});

test("every label that can be fits into the metrics of one thread", () => {
  const metrics = new Metrics();
  const errors = Array.from({ length: 64 }, (_, i) => new ClientError(`hook ${i}`));
  for (let i = 0; i < 24; i++) errors.push(new ClientError(`own ${i}`, "invalid-parameter"));
  const strangers = [{ name: "lines" }, { name: "words" }];
  for (const responses of [http, udp, ...strangers].map((one) => declared(metrics, one))) {
    for (const action of ["connect", "announce", "scrape", "invented"]) {
      for (const family of [undefined, 4, 6] as const) {
        for (const error of [undefined, internalError, ...errors]) end(responses, action, family, error, 1);
      }
    }
  }
  const perFrontend = metrics
    .snapshot()
    .filter(({ kind }) => kind === "histogram")
    .map(({ series }) => series.filter(({ values }) => values.some((value) => value > 0)).length);
  const perAction = 3 * 90;
  assert.deepEqual(perFrontend, [3 * perAction, 3 * perAction, 4 * perAction, 3 * perAction]);
});

test("a request without a response is counted by its reason, and by its error if there is one", () => {
  const metrics = new Metrics();
  const responses = declared(metrics, udp);
  const dropped = () =>
    metrics
      .snapshot()
      .find(({ name }) => name === "chihaya_udp_dropped_datagrams_total")!
      .series.flatMap(({ labels, values }) => (values[0]! > 0 ? [`${labels.reason} ${values[0]}`] : []));
  end(responses, "announce", 4, undefined, 0, "overloaded");
  end(responses, "", undefined, new ClientError("malformed packet", "malformed-packet"), 0, "short");
  end(responses, "", undefined, undefined, 0); // a look at the health is no announce
  assert.deepEqual(dropped(), ["overloaded 1", "short 1"]);
  assert.deepEqual(labels(metrics), [" Unknown malformed packet"]);
  end(responses, "announce", 4, undefined, 0, "invented");
  assert.deepEqual(dropped(), ["other 1", "overloaded 1", "short 1"]);
});

test("a frontend without a description has metrics by its name, and no more than 64 reasons", () => {
  const metrics = new Metrics();
  const responses = new ResponseMetrics(metrics, "My Lines");
  responses.declare();
  assert.deepEqual(metrics.snapshot(), []);
  end(responses, "announce", 4, undefined, 0);
  for (let i = 0; i < 100; i++) end(responses, "", undefined, undefined, 0, `reason ${i}`);
  const [rejected, histogram] = metrics.snapshot();
  assert.deepEqual([rejected!.name, rejected!.series.length], ["chihaya_my_lines_rejected_total", 65]);
  assert.equal(histogram!.name, "chihaya_my_lines_response_duration_milliseconds");
});
