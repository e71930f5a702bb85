import type { ClientError } from "../../bittorrent/client-error.ts";
import { infoHashLength } from "../../bittorrent/info-hash.ts";
import type { ScrapeRequest } from "../../bittorrent/scrape.ts";
import * as errors from "./errors.ts";
import { maxParams, Param, QueryReader } from "./query.ts";

const query = new QueryReader();
const infoHash = new Uint8Array(infoHashLength);

/**
 * Parses the query of a scrape (BEP 48), the raw bytes after the `?`: every `info_hash`, in order. Drops infohashes
 * beyond the request's capacity without an error, as Chihaya does; the response shows the client which ones remain.
 * There is no scrape of all torrents.
 * @returns the error that refuses the scrape, or undefined; after an error, `request` is partly filled. Never throws,
 * never allocates.
 */
export function parseScrapeQuery(
  bytes: Uint8Array,
  start: number,
  end: number,
  request: ScrapeRequest,
): ClientError | undefined {
  request.reset();
  query.open(bytes, start, end);
  let others = 0;
  for (;;) {
    const param = query.next();
    if (param === Param.end) break;
    if (param === Param.badEscape) return errors.invalidQueryEscape;
    if (param !== Param.infoHash) {
      if (++others > maxParams) return errors.tooManyParams;
    } else {
      if (query.readBinary(infoHash) !== infoHashLength) return errors.invalidInfoHash;
      request.add(infoHash, 0);
    }
  }
  return request.count === 0 ? errors.noInfoHash : undefined;
}
