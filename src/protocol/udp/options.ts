import type { Params } from "../../bittorrent/params.ts";

/** Option types of BEP 41. All but the first two have a length byte and as many bytes of data. */
const Option = { endOfOptions: 0, nop: 1, urlData: 2 } as const;

/** The maximum length of URL data: the length of the longest datagram. */
export const maxUrlDataLength = 2048;

const questionMark = 0x3f;

/**
 * Parses the options in `bytes[start..end)` (BEP 41), and points `params` at the path and query that the URL data
 * options form together. Without such options, `params` is empty.
 *
 * Tolerant, since an announce must not fail because of its options: unknown types are skipped. An option without a
 * length byte, an option longer than the packet, and URL data beyond {@link maxUrlDataLength} end the options; earlier
 * options count. aria2 sends two zero bytes, which both mean the end.
 *
 * @param scratch  {@link maxUrlDataLength} bytes; the params point into them if the URL data is in several options,
 * else into `bytes`
 */
export function parseOptions(
  bytes: Uint8Array,
  start: number,
  end: number,
  scratch: Uint8Array,
  params: Params,
): void {
  let from = bytes;
  let dataStart = 0;
  let dataEnd = 0;
  let at = start;
  while (at < end) {
    const option = bytes[at++]!;
    if (option === Option.endOfOptions) break;
    if (option === Option.nop) continue;
    if (at === end) break;
    const length = bytes[at++]!;
    if (at + length > end) break;
    if (option === Option.urlData && length > 0) {
      const kept = dataEnd - dataStart;
      if (kept === 0) {
        dataStart = at;
        dataEnd = at + length;
      } else {
        if (kept + length > maxUrlDataLength) break;
        if (from !== scratch) {
          for (let i = 0; i < kept; i++) scratch[i] = bytes[dataStart + i]!;
          from = scratch;
          dataStart = 0;
        }
        for (let i = 0; i < length; i++) scratch[kept + i] = bytes[at + i]!;
        dataEnd = kept + length;
      }
    }
    at += length;
  }
  if (dataEnd === 0) {
    params.clear();
    return;
  }
  let pathEnd = dataStart;
  while (pathEnd < dataEnd && from[pathEnd] !== questionMark) pathEnd++;
  params.set(from, dataStart, pathEnd, dataEnd);
}
