import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Address } from "../ip/address.ts";
import { AnnounceRequest, Counter } from "./announce.ts";
import { AnnounceEvent, eventName } from "./event.ts";

describe("announce request", () => {
  test("each counter holds 64 bits", () => {
    const request = new AnnounceRequest();
    const largest = 2n ** 64n - 1n;
    for (const value of [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n, largest]) {
      for (const name of ["uploaded", "downloaded", "left"] as const) {
        request.uploaded = 11n;
        request.downloaded = 12n;
        request.left = 13n;
        request[name] = value;
        const expected = { uploaded: 11n, downloaded: 12n, left: 13n, [name]: value };
        const { uploaded, downloaded, left } = request;
        assert.deepEqual({ uploaded, downloaded, left }, expected);
      }
    }
  });

  test("counters are readable as words, low word first", () => {
    const request = new AnnounceRequest();
    request.counters[2 * Counter.left] = 2;
    request.counters[2 * Counter.left + 1] = 1;
    request.counters[2 * Counter.uploaded] = 3;
    request.counters[2 * Counter.downloaded + 1] = 1;
    const { uploaded, downloaded, left } = request;
    assert.deepEqual(
      { uploaded, downloaded, left },
      { uploaded: 3n, downloaded: 2n ** 32n, left: 2n ** 32n + 2n },
    );
  });

  const seeders: [AnnounceEvent, bigint, boolean][] = [
    [AnnounceEvent.none, 0n, true],
    [AnnounceEvent.none, 1n, false],
    [AnnounceEvent.none, 2n ** 32n, false],
    [AnnounceEvent.none, 2n ** 64n - 1n, false],
    [AnnounceEvent.started, 0n, true],
    [AnnounceEvent.paused, 0n, true],
    [AnnounceEvent.paused, 5n, false],
    [AnnounceEvent.completed, 0n, true],
    [AnnounceEvent.completed, 5n, true],
    [AnnounceEvent.stopped, 0n, true],
  ];
  for (const [event, left, expected] of seeders) {
    test(`${eventName(event)} with ${left} left ${expected ? "seeds" : "leeches"}`, () => {
      const request = new AnnounceRequest();
      request.event = event;
      request.left = left;
      assert.equal(request.isSeeder, expected);
    });
  }

  test("the words of an infohash are its bytes", () => {
    const request = new AnnounceRequest();
    request.infoHash.set(Uint8Array.from({ length: 20 }, (_, i) => i));
    assert.deepEqual([...new Uint8Array(request.infoHashWords.slice().buffer)], [...request.infoHash]);
  });

  test("toString() names torrent, peer and endpoint", () => {
    const request = new AnnounceRequest();
    request.infoHash.fill(0xab);
    request.peerId.fill(0x01);
    request.port = 6881;
    request.address.copyFrom(Address.parse("192.0.2.1"));
    assert.equal(`${request}`, `${"ab".repeat(20)} ${"01".repeat(20)}@192.0.2.1:6881`);
    request.address.copyFrom(Address.parse("2001:db8::1"));
    assert.equal(`${request}`, `${"ab".repeat(20)} ${"01".repeat(20)}@[2001:db8::1]:6881`);
  });
});

test("events have the numbers of BEP 15 and the names of a query", () => {
  const names = [0, 1, 2, 3, 4].map((event) => eventName(event as AnnounceEvent));
  assert.deepEqual(names, ["none", "completed", "started", "stopped", "paused"]);
  for (const [name, event] of Object.entries(AnnounceEvent)) assert.equal(eventName(event), name);
});
