import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AnnounceResponse } from "../../bittorrent/announce.ts";
import { ClientError } from "../../bittorrent/client-error.ts";
import { PeerList } from "../../bittorrent/peer-list.ts";
import { ScrapeResponse } from "../../bittorrent/scrape.ts";
import { Address } from "../../ip/address.ts";
import { parseResponse } from "./client.ts";
import { ConnectionIds } from "./connection-id.ts";
import { badConnectionId } from "./packet.ts";
import { writeAnnounce, writeConnect, writeError, writeScrape } from "./write.ts";

const at = 64;
const bytes = new Uint8Array(4096);
const view = new DataView(bytes.buffer);
const hex = (end: number): string => Buffer.from(bytes.subarray(at, end)).toString("hex");

describe("responses over UDP", () => {
  test("connect: action, transaction id, connection id; exactly 16 bytes", () => {
    const ids = new ConnectionIds(
      Uint8Array.from({ length: 16 }, (_, i) => i),
      0,
    );
    const end = writeConnect(view, at, 0xdeadbeef, ids, Address.parse("1.2.3.4"), 1_700_000_000);
    assert.equal(hex(end), "00000000deadbeef187aebe00b4acc00");
  });

  for (const [family, peers] of [
    [4, "7f000001c92d" + "0a0000011ae1"],
    [6, "20010db8000000000000000000000001c92d" + "000000000000000000000000000000011ae1"],
  ] as const) {
    test(`announce over IPv${family}: leechers before seeders, then the peers`, () => {
      const lists = [new PeerList(4, bytes), new PeerList(6, bytes)] as const;
      const response = new AnnounceResponse(...lists);
      response.reset(1800, 900);
      response.complete = 3;
      response.incomplete = 2;
      const list = family === 4 ? lists[0] : lists[1];
      list.at = at + 20;
      list.count = 2;
      bytes.set(Buffer.from(peers, "hex"), list.at);
      const end = writeAnnounce(view, at, 1, 0xdeadbeef, response, list);
      assert.equal(hex(end), `00000001deadbeef000007080000000200000003${peers}`);
    });
  }

  test("announce echoes action 4", () => {
    const list = new PeerList(6, bytes);
    const response = new AnnounceResponse(new PeerList(4, bytes), list);
    response.reset(60, 30);
    assert.equal(
      hex(writeAnnounce(view, at, 4, 1, response, list)),
      "00000004000000010000003c0000000000000000",
    );
  });

  test("scrape: seeders, completed, leechers of each infohash", () => {
    const response = new ScrapeResponse(74);
    response.reset(2);
    response.set(0, 1, 2, 3, 4);
    assert.equal(
      hex(writeScrape(view, at, 7, response, 2)),
      "0000000200000007000000010000000300000002000000000000000000000000",
    );
  });

  test("error: the text ends with a NUL", () => {
    const end = writeError(bytes, view, at, 7, badConnectionId, 100);
    assert.equal(hex(end), `0000000300000007${Buffer.from("bad connection ID\0").toString("hex")}`);
    assert.equal(end - at, 26);
  });

  test("error: not written if it does not fit", () => {
    assert.equal(writeError(bytes, view, at, 7, badConnectionId, 26) - at, 26);
    assert.equal(writeError(bytes, view, at, 7, badConnectionId, 25), at);
  });

  test("error: text in UTF-8, cut to fit into one packet", () => {
    const end = writeError(bytes, view, at, 7, new ClientError("nö\u{2603}"), 100);
    assert.equal(hex(end).slice(16), Buffer.from("nö\u{2603}\0").toString("hex"));
    assert.ok(writeError(bytes, view, at, 7, new ClientError("\u{2603}".repeat(5000)), 4000) - at <= 1232);
  });

  test("parse back from their bytes", () => {
    const u32 = fc.nat(0xffff_ffff);
    fc.assert(
      fc.property(
        fc.constantFrom(4 as const, 6 as const),
        u32,
        fc.record({ interval: u32, complete: u32, incomplete: u32 }),
        fc.array(fc.uint8Array({ minLength: 18, maxLength: 18 }), { maxLength: 60 }),
        fc.array(fc.tuple(u32, u32, u32), { minLength: 1, maxLength: 74 }),
        (family, transactionId, head, peers, rows) => {
          const list = new PeerList(family, bytes);
          const other = new PeerList(family === 4 ? 6 : 4, bytes);
          const response =
            family === 4 ? new AnnounceResponse(list, other) : new AnnounceResponse(other, list);
          Object.assign(response, head);
          const stride = family === 4 ? 6 : 18;
          list.count = peers.length;
          for (const [i, peer] of peers.entries()) bytes.set(peer.subarray(0, stride), at + 20 + i * stride);
          let end = writeAnnounce(view, at, 1, transactionId, response, list);
          assert.deepEqual(parseResponse(bytes.subarray(at, end), family), {
            action: "announce",
            transactionId,
            interval: head.interval,
            leechers: head.incomplete,
            seeders: head.complete,
            peers: Uint8Array.from(peers.flatMap((peer) => [...peer.subarray(0, stride)])),
          });

          const scrape = new ScrapeResponse(74);
          for (const [i, row] of rows.entries()) scrape.set(i, ...row, 0);
          end = writeScrape(view, at, transactionId, scrape, rows.length);
          assert.deepEqual(parseResponse(bytes.subarray(at, end), family), {
            action: "scrape",
            transactionId,
            rows: rows.map(([seeders, leechers, completed]) => ({ seeders, completed, leechers })),
          });

          end = writeError(bytes, view, at, transactionId, badConnectionId, 100);
          assert.deepEqual(parseResponse(bytes.subarray(at, end), family), {
            action: "error",
            transactionId,
            message: "bad connection ID",
          });
        },
      ),
      { seed: 15, numRuns: 300 },
    );
  });
});
