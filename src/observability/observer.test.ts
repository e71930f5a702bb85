import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClientError } from "../bittorrent/client-error.ts";
import { type EndedRequest, type Observer, RequestReporter } from "./observer.ts";

const refused = new ClientError("not here");

/** Reports a batch of UDP requests to the observers, and one request after the batch. */
function reportBatch(observers: readonly Observer[]): unknown[] {
  const errors: unknown[] = [];
  const reporter = new RequestReporter("udp", observers, (error) => errors.push(error));
  reporter.beginBatch(true);
  for (const error of [undefined, undefined, refused, undefined, refused])
    reporter.end(reporter.begin(true), "announce", 4, error);
  reporter.end(reporter.begin(true), "announce", 6);
  reporter.end(reporter.begin(true), "", undefined, undefined, "source");
  reporter.endBatch();
  reporter.end(reporter.begin(true), "announce", 4);
  return errors;
}

const describeEnd = ({ action, family, error, reason }: EndedRequest) =>
  `${action} ${family} ${error?.message} ${reason}`;
const kinds = [
  "announce 4 undefined undefined",
  "announce 4 not here undefined",
  "announce 6 undefined undefined",
  " undefined undefined source",
] as const;

describe("equal requests of a batch", () => {
  test("are reported together to an observer that takes them so", () => {
    const ended: [string, number][] = [];
    const observer: Observer = {
      requestEnded: () => assert.fail("called for one request"),
      requestsEnded: (request, count) => ended.push([describeEnd(request), count]),
    };
    assert.deepEqual(reportBatch([observer]), []);
    assert.deepEqual(ended, [
      [kinds[0], 3],
      [kinds[1], 2],
      [kinds[2], 1],
      [kinds[3], 1],
      [kinds[0], 1],
    ]);
  });

  test("are reported one by one to any other, even if it throws", () => {
    const ended: string[] = [];
    const observer: Observer = {
      requestEnded(request) {
        ended.push(describeEnd(request));
        throw new Error("on purpose");
      },
    };
    assert.equal(reportBatch([observer, observer]).length, 16);
    const once = [...Array(3).fill(kinds[0]), ...Array(2).fill(kinds[1]), kinds[2], kinds[3], kinds[0]];
    assert.deepEqual(ended.toSorted(), [...once, ...once].toSorted());
  });
});
