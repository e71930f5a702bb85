/**
 * The UDP codec alone: parsing requests, checking a connection id, writing responses.
 *
 * Usage: node bench/micro/udp-codec.ts
 */
import { bench, do_not_optimize, run } from "mitata";
import { Address } from "../../src/bittorrent/address.ts";
import { AnnounceRequest, AnnounceResponse } from "../../src/bittorrent/announce.ts";
import { PeerList } from "../../src/bittorrent/peer-list.ts";
import { ScrapeRequest, ScrapeResponse } from "../../src/bittorrent/scrape.ts";
import { createAnnounceRequest, createScrapeRequest } from "../../src/protocol/udp/client.ts";
import { ConnectionIds } from "../../src/protocol/udp/connection-id.ts";
import { maxUrlDataLength } from "../../src/protocol/udp/options.ts";
import { badConnectionId } from "../../src/protocol/udp/packet.ts";
import { parseAnnounce, parseScrape } from "../../src/protocol/udp/parse.ts";
import { writeAnnounce, writeConnect, writeError, writeScrape } from "../../src/protocol/udp/write.ts";

const now = 1_700_000_000;
const ids = new ConnectionIds(new Uint8Array(16).fill(9), 0);
const four = Address.parse("192.0.2.1");
const six = Address.parse("2001:db8::1");
const rules = { allowIpSpoofing: false, maxNumWant: 100, defaultNumWant: 50 };
const scratch = new Uint8Array(maxUrlDataLength);
const request = new AnnounceRequest();

const bytes = new Uint8Array(4096);
const view = new DataView(bytes.buffer);
const outAt = 2048;
const announce = {
  connectionId: 1n,
  transactionId: 2,
  infoHash: new Uint8Array(20).fill(3),
  peerId: new Uint8Array(20).fill(4),
  left: 5n,
  port: 6881,
};

function benchParse(name: string, urlData: string): void {
  const packet = createAnnounceRequest({ ...announce, urlData });
  const packetView = new DataView(packet.buffer);
  const { length } = packet;
  bench(name, () =>
    do_not_optimize(parseAnnounce(packet, packetView, 0, length, 1, four, rules, scratch, request)),
  );
}

benchParse("parse announce, 98 bytes", "");
benchParse("parse announce with /announce, 109 bytes", "/announce");

const scrape = createScrapeRequest(1n, 2, Array(74).fill(announce.infoHash));
const scrapeRequest = new ScrapeRequest(74);
const scrapeBytes = new Uint8Array(2048);
scrapeBytes.set(scrape);
bench("parse scrape of 74", () =>
  do_not_optimize(parseScrape(scrapeBytes, 0, scrape.length, four, 74, scrapeRequest)),
);

for (const [name, address] of [
  ["IPv4", four],
  ["IPv6", six],
] as const) {
  const id = new DataView(new ArrayBuffer(8));
  ids.write(id, 0, address, now);
  bench(`check connection id, ${name}`, () => do_not_optimize(ids.isValid(id, 0, address, now + 60)));
}

bench("write connect", () => do_not_optimize(writeConnect(view, outAt, 7, ids, four, now)));

const peers = new PeerList(4, bytes);
const response = new AnnounceResponse(peers, new PeerList(6, bytes));
peers.count = 50;
bench("write announce, peers in place", () =>
  do_not_optimize(writeAnnounce(view, outAt, 1, 7, response, peers)),
);

const scrapeResponse = new ScrapeResponse(74);
bench("write scrape of 74", () => do_not_optimize(writeScrape(view, outAt, 7, scrapeResponse, 74)));
bench("write error", () => do_not_optimize(writeError(bytes, view, outAt, 7, badConnectionId, 98)));

await run();
