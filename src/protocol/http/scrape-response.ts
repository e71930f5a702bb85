import { infoHashLength } from "../../bittorrent/info-hash.ts";
import type { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { ascii, put, putNumber } from "./byte-writer.ts";
import { finishResponse, type ResponseBuffer } from "./response-buffer.ts";

const key = {
  files: ascii("d5:filesd"),
  infoHash: ascii("20:"),
  complete: ascii("d8:completei"),
  downloaded: ascii("e10:downloadedi"),
  downloaders: ascii("e11:downloadersi"),
  incomplete: ascii("e10:incompletei"),
  end: ascii("ee"),
} as const;

/**
 * Writes the response to a scrape (BEP 48): for each infohash, sorted and once, `complete`, `downloaded`, `downloaders`
 * and `incomplete`. `downloaders` (BEP 21) counts the leechers without the partial seeds; the key is absent if there
 * are no partial seeds.
 */
export function writeScrapeResponse(
  out: ResponseBuffer,
  request: ScrapeRequest,
  response: ScrapeResponse,
  keepAlive: boolean,
): void {
  const { bytes, order, bodyAt } = out;
  const count = sortInfoHashes(request, order);
  let at = put(bytes, bodyAt, key.files);
  for (let i = 0; i < count; i++) {
    const index = order[i]!;
    const infoHash = index * infoHashLength;
    at = put(bytes, at, key.infoHash);
    for (let k = 0; k < infoHashLength; k++) bytes[at++] = request.infoHashes[infoHash + k]!;
    at = put(bytes, at, key.complete);
    at = putNumber(bytes, at, response.complete(index));
    at = put(bytes, at, key.downloaded);
    at = putNumber(bytes, at, response.snatches(index));
    const partial = response.partial(index);
    if (partial > 0) {
      at = put(bytes, at, key.downloaders);
      at = putNumber(bytes, at, Math.max(response.incomplete(index) - partial, 0));
    }
    at = put(bytes, at, key.incomplete);
    at = putNumber(bytes, at, response.incomplete(index));
    at = put(bytes, at, key.end);
  }
  at = put(bytes, at, key.end);
  finishResponse(out, bodyAt, at, keepAlive);
}

/** Fills `order` with the indices of distinct infohashes, sorted by bytes. @returns their number */
function sortInfoHashes(request: ScrapeRequest, order: Uint32Array): number {
  let count = 0;
  for (let index = 0; index < request.count && count < order.length; index++) {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >> 1;
      const comparison = compareInfoHashes(request.infoHashes, order[middle]!, index);
      if (comparison === 0) break;
      if (comparison < 0) low = middle + 1;
      else high = middle;
    }
    if (low < high) continue; // found: a duplicate
    order.copyWithin(low + 1, low, count);
    order[low] = index;
    count++;
  }
  return count;
}

function compareInfoHashes(infoHashes: Uint8Array, a: number, b: number): number {
  for (let k = 0; k < infoHashLength; k++) {
    const difference = infoHashes[a * infoHashLength + k]! - infoHashes[b * infoHashLength + k]!;
    if (difference !== 0) return difference;
  }
  return 0;
}
