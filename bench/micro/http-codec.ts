import { AnnounceRequest, AnnounceResponse } from "../../src/bittorrent/announce.ts";
import { ClientError } from "../../src/bittorrent/client-error.ts";
import { ScrapeRequest, ScrapeResponse } from "../../src/bittorrent/scrape.ts";
import { AnnounceExtras, parseAnnounceQuery } from "../../src/protocol/http/announce-query.ts";
import { HttpRequest, readRequest } from "../../src/protocol/http/request-reader.ts";
import {
  ResponseBuffer,
  writeAnnounceResponse,
  writeFailure,
  writeScrapeResponse,
} from "../../src/protocol/http/response-writer.ts";
import { parseScrapeQuery } from "../../src/protocol/http/scrape-query.ts";
import { Router } from "../../src/protocol/router.ts";
import type { Micro } from "./micro.ts";

const libtorrent =
  "GET /announce?info_hash=x%a9%cd%c0%7di%b5%c0%e2%0f%8d%3e%dd%04%c6T)%89%e5%2c&peer_id=-LT2080-cPPJTX1~r-xr&port=52002&uploaded=0&downloaded=0&left=3000000&corrupt=0&key=255BF2EA&event=started&numwant=200&compact=1&no_peer_id=1&supportcrypto=1&redundant=0 HTTP/1.1\r\nHost: 127.0.0.1:6969\r\nUser-Agent: libtorrent/2.0.8.0\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n";

/** The HTTP codecs: reading a request, parsing its query, writing its response. */
export const httpCodec: Micro = {
  title: "HTTP codec",
  cases: () => {
    const bytes = new Uint8Array(Buffer.from(libtorrent, "latin1"));
    const http = new HttpRequest();
    const request = new AnnounceRequest();
    const extra = new AnnounceExtras();
    const options = { maxNumWant: 100, defaultNumWant: 50, allowIpSpoofing: false };
    const router = new Router(["/announce", "/announce/:passkey"], ["/scrape"]);
    const out = new ResponseBuffer(100, 50);
    const response = new AnnounceResponse(out.peers4, out.peers6);
    response.reset(1800, 900);
    response.complete = 1234;
    response.incomplete = 567;
    const failure = new ClientError("torrent not in the list");
    const scrapeQuery = Buffer.from(
      Array.from({ length: 50 }, (_, i) => `info_hash=${String.fromCharCode(33 + i).repeat(20)}`)
        .join("&")
        .replaceAll("&&", "%26"),
    );
    const scrape = new ScrapeRequest(50);
    const scrapeResponse = new ScrapeResponse(50);

    const read = () => readRequest(bytes, 0, bytes.length, http);
    const match = () => router.match(bytes, http.targetStart, http.pathEnd);
    const parse = () => parseAnnounceQuery(bytes, http.queryStart, http.targetEnd, request, options, extra);
    const write = (peers4: number, peers6: number, compact = true) => {
      out.peers4.count = peers4;
      out.peers6.count = peers6;
      request.compact = compact;
      writeAnnounceResponse(out, request, response, true, true, request.address);
    };
    read();
    parse();

    return {
      [`read a request of ${bytes.length} bytes`]: read,
      "match its route": match,
      [`parse its query of ${http.targetEnd - http.queryStart} bytes`]: parse,
      "write an announce response, no peers": () => write(0, 0),
      "write an announce response, 50 IPv4 peers": () => write(50, 0),
      "write an announce response, 50 IPv4 and 50 IPv6 peers": () => write(50, 50),
      "write an announce response, 50 IPv4 peers as dictionaries": () => write(50, 0, false),
      "write a failure": () => writeFailure(out, failure, true),
      "read, match, parse, write 50 IPv4 peers": () => {
        read();
        match();
        parse();
        write(50, 0);
      },
      "parse a scrape of 50": () => parseScrapeQuery(scrapeQuery, 0, scrapeQuery.length, scrape),
      "write a scrape response of 50": () => {
        scrapeResponse.reset(scrape.count);
        writeScrapeResponse(out, scrape, scrapeResponse, true);
      },
    };
  },
};
