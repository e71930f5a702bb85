import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ScrapeRequest, ScrapeResponse } from "./scrape.ts";

const infoHash = (n: number) => new Uint8Array(20).fill(n);

describe("scrape request", () => {
  test("infohashes keep their order and their duplicates", () => {
    const request = new ScrapeRequest(4);
    const packed = Uint8Array.of(99, ...infoHash(1), ...infoHash(2));
    request.add(packed, 21);
    request.add(packed, 1);
    request.add(packed, 21);
    assert.equal(request.count, 3);
    assert.deepEqual(
      [0, 1, 2].map((n) => request.infoHash(n)),
      [infoHash(2), infoHash(1), infoHash(2)],
    );
    assert.deepEqual(
      new Uint8Array(request.infoHashWords.slice(5, 10).buffer),
      infoHash(1),
      "the words of the second",
    );
  });

  test("infohashes beyond the capacity are dropped", () => {
    const request = new ScrapeRequest(2);
    assert.equal(request.capacity, 2);
    for (const n of [1, 2, 3]) request.add(infoHash(n), 0);
    assert.equal(request.count, 2);
    assert.deepEqual(request.infoHash(1), infoHash(2));
  });

  test("a hidden infohash is visible in the next request", () => {
    const request = new ScrapeRequest(3);
    for (const n of [1, 2, 3]) request.add(infoHash(n), 0);
    request.hide(0);
    request.hide(2);
    assert.deepEqual(
      [0, 1, 2].map((n) => request.isHidden(n)),
      [true, false, true],
    );
    request.reset();
    assert.equal(request.count, 0);
    for (const n of [4, 5, 6]) request.add(infoHash(n), 0);
    assert.deepEqual(
      [0, 1, 2].map((n) => request.isHidden(n)),
      [false, false, false],
    );
    assert.deepEqual(request.infoHash(0), infoHash(4));
  });
});

test("a scrape response has four numbers a row, and zeros after a reset", () => {
  const response = new ScrapeResponse(3);
  const row = (n: number) => [
    response.complete(n),
    response.incomplete(n),
    response.snatches(n),
    response.partial(n),
  ];
  for (const n of [0, 1, 2]) response.set(n, 10 * n + 1, 10 * n + 2, 2 ** 32 - 1, 10 * n + 4);
  assert.deepEqual([0, 1, 2].map(row), [
    [1, 2, 2 ** 32 - 1, 4],
    [11, 12, 2 ** 32 - 1, 14],
    [21, 22, 2 ** 32 - 1, 24],
  ]);
  response.reset(2);
  assert.deepEqual([0, 1].map(row), [
    [0, 0, 0, 0],
    [0, 0, 0, 0],
  ]);
});
