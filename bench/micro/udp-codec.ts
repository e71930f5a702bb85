import { AnnounceRequest, AnnounceResponse } from "../../src/bittorrent/announce.ts";
import { PeerList } from "../../src/bittorrent/peer-list.ts";
import { ScrapeRequest, ScrapeResponse } from "../../src/bittorrent/scrape.ts";
import { Address } from "../../src/ip/address.ts";
import { createAnnounceRequest, createScrapeRequest } from "../../src/protocol/udp/client.ts";
import { ConnectionIds } from "../../src/protocol/udp/connection-id.ts";
import { maxUrlDataLength } from "../../src/protocol/udp/options.ts";
import { badConnectionId } from "../../src/protocol/udp/packet.ts";
import { parseAnnounce, parseScrape } from "../../src/protocol/udp/parse.ts";
import { writeAnnounce, writeConnect, writeError, writeScrape } from "../../src/protocol/udp/write.ts";
import type { Micro } from "./micro.ts";

const now = 1_700_000_000;
const outAt = 2048;
const announce = {
  connectionId: 1n,
  transactionId: 2,
  infoHash: new Uint8Array(20).fill(3),
  peerId: new Uint8Array(20).fill(4),
  left: 5n,
  port: 6881,
};

/** The UDP codec: parsing requests, checking a connection id, writing responses. */
export const udpCodec: Micro = {
  title: "UDP codec",
  cases: () => {
    const ids = new ConnectionIds(new Uint8Array(16).fill(9), 0);
    const four = Address.parse("192.0.2.1");
    const six = Address.parse("2001:db8::1");
    const rules = { allowIpSpoofing: false, maxNumWant: 100, defaultNumWant: 50 };
    const scratch = new Uint8Array(maxUrlDataLength);
    const request = new AnnounceRequest();
    const bytes = new Uint8Array(4096);
    const view = new DataView(bytes.buffer);

    const parse = (urlData: string) => {
      const packet = createAnnounceRequest({ ...announce, urlData });
      const packetView = new DataView(packet.buffer);
      const { length } = packet;
      return () => parseAnnounce(packet, packetView, 0, length, 1, four, rules, scratch, request);
    };
    const check = (address: Address) => {
      const id = new DataView(new ArrayBuffer(8));
      ids.write(id, 0, address, now);
      return () => ids.isValid(id, 0, address, now + 60);
    };
    const scrape = createScrapeRequest(1n, 2, Array(74).fill(announce.infoHash));
    const scrapeRequest = new ScrapeRequest(74);
    const scrapeBytes = new Uint8Array(2048);
    scrapeBytes.set(scrape);
    const peers = new PeerList(4, bytes);
    peers.count = 50;
    const response = new AnnounceResponse(peers, new PeerList(6, bytes));
    const scrapeResponse = new ScrapeResponse(74);

    return {
      "parse an announce of 98 bytes": parse(""),
      "parse an announce of 109 bytes, with `/announce`": parse("/announce"),
      "parse a scrape of 74": () => parseScrape(scrapeBytes, 0, scrape.length, four, 74, scrapeRequest),
      "check a connection id, IPv4": check(four),
      "check a connection id, IPv6": check(six),
      "write a connect response": () => writeConnect(view, outAt, 7, ids, four, now),
      "write an announce response, its peers in place": () =>
        writeAnnounce(view, outAt, 1, 7, response, peers),
      "write a scrape response of 74": () => writeScrape(view, outAt, 7, scrapeResponse, 74),
      "write an error": () => writeError(bytes, view, outAt, 7, badConnectionId, 98),
    };
  },
};
