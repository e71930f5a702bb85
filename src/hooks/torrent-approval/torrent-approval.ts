import { infoHashLength, longInfoHashDigits, longInfoHashRemedy } from "../../bittorrent/info-hash.ts";
import { hexDigit } from "../../ip/address.ts";
import { HashSet } from "../../lib/hash-set.ts";
import { approveKeys, type KeyApproval, type KeyCheck } from "../../middleware/access-list/key-approval.ts";
import { keyListFormat } from "../../middleware/access-list/key-list.ts";
import type { KeyEdits } from "../../middleware/access-list/list-edits.ts";
import type { ListFormat, ListKind } from "../../middleware/access-list/list-format.ts";
import type { ApprovalOptions } from "../../middleware/access-list/list-options.ts";
import type { SwapListener } from "../../middleware/access-list/shared-list.ts";
import type { HookDeps } from "../../middleware/define-hook.ts";
import type { Hook } from "../../middleware/hook.ts";
import { unapprovedTorrent } from "./errors.ts";

export const approval: KeyApproval = {
  name: "torrent approval",
  width: infoHashLength / 4,
  parse: parseEntry,
  refusal: unapprovedTorrent,
};

/** The format of the lists. */
export const format: ListFormat = keyListFormat(approval.width, approval.parse);

/**
 * Creates the prehook `torrent approval`: allows announces by infohash, and shows refused torrents as unknown in
 * scrapes. Without lists, all torrents pass. A torrent that a file or URL no longer approves is removed from the store
 * at once.
 * @param overrides  edits that win over the lists, and over the edits of operators
 */
export async function createTorrentApproval(
  options: ApprovalOptions,
  deps: HookDeps,
  overrides?: KeyEdits,
): Promise<Hook> {
  const { check, list } = await approveKeys(approval, options, deps, {
    overrides,
    onSwap: (kind, isRefused) => remover(kind, isRefused, deps),
  });
  return {
    ...list,
    name: approval.name,
    handleAnnounce: (request) => check(request.infoHashWords, 0),
    handleScrape(request) {
      for (let i = 0; i < request.count; i++) {
        if (check(request.infoHashWords, i * approval.width) !== undefined) request.hide(i);
      }
    },
  };
}

/** Parses an infohash by opentracker's rule: 40 hexadecimal digits, then the end or any other character. */
function parseEntry(bytes: Uint8Array, start: number, end: number, out: Uint8Array): string | undefined {
  const after = start + 2 * infoHashLength;
  if (after > end || (after < end && hexDigit(bytes[after]!) >= 0)) return notAnInfoHash(bytes, start, end);
  for (let i = 0; i < infoHashLength; i++) {
    const high = hexDigit(bytes[start + 2 * i]!);
    const low = hexDigit(bytes[start + 2 * i + 1]!);
    if (high < 0 || low < 0) return notAnInfoHash(bytes, start, end);
    out[i] = (high << 4) | low;
  }
  return undefined;
}

/** Describes the problem of an entry without quoting it: the file may be the wrong one, and hold a secret. */
function notAnInfoHash(bytes: Uint8Array, start: number, end: number): string {
  let digits = start;
  while (digits < end && hexDigit(bytes[digits]!) >= 0) digits++;
  if (digits - start === longInfoHashDigits) return `not an infohash: ${longInfoHashRemedy}`;
  const found = digits === end ? `${digits - start} hexadecimal digits` : `${end - start} characters`;
  return `not an infohash: ${found}; expected 40 hexadecimal digits, or a comment after #`;
}

/**
 * Removes the torrents that have left the whitelist, or joined the blacklist. A torrent that cannot be removed expires,
 * because no announce can refresh it.
 */
function remover(kind: ListKind, check: KeyCheck, { store, logger }: HookDeps): SwapListener {
  const { width } = approval;
  return async (old, next, pace, signal) => {
    const before = new HashSet(width, old ?? new Int32Array(HashSet.words(width, 0)));
    const after = new HashSet(width, next);
    const [from, others, fromWords] = kind === "whitelist" ? [before, after, old] : [after, before, next];
    if (fromWords === undefined) return undefined;
    let gone = 0;
    for (let at = from.start; at < from.end; at += width) {
      if (!others.has(fromWords, at)) gone++;
      await pace.step();
    }
    const infoHashes = new Int32Array(gone * width); // a copy, because the memory will be written again
    for (let at = from.start, to = 0; at < from.end; at += width) {
      if (!others.has(fromWords, at)) for (let i = 0; i < width; i++) infoHashes[to++] = fromWords[at + i]!;
      await pace.step();
    }
    return async () => {
      let failed = 0;
      let reason: unknown;
      for (let n = 0; n < gone && !signal.aborted; n++) {
        if (check(infoHashes, n * width) === undefined) continue; // an edit approves the torrent
        try {
          await store.remove(new Uint8Array(infoHashes.buffer, n * infoHashLength, infoHashLength));
        } catch (error) {
          failed++;
          reason = error;
        }
        await pace.step();
      }
      if (failed === 0) return;
      const why = (reason as Error).message;
      logger.error({ err: reason }, `${failed} of ${gone} torrents not removed: ${why}; they expire`);
    };
  };
}
