import { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { Batch } from "../../src/private/accounting/batch.ts";
import { Field, Records, recordWords } from "../../src/private/record.ts";

/** One announce, and what it adds. */
export interface Traffic {
  user?: number;
  torrent?: number;
  client?: string;
  uploaded?: number;
  downloaded?: number;
  left?: number;
  event?: AnnounceEvent;
  seconds?: number;
  isSnatch?: boolean;
  up?: number;
}

/** Writes an announce to the first record. */
export function writeTraffic({ words, bytes }: Records, traffic: Traffic): void {
  const { user = 1, torrent = 1, client = "a", left = 0, up = 100 } = traffic;
  words.fill(0);
  words[Field.seconds] = traffic.seconds ?? 1_800_000_000;
  words[Field.user] = user;
  words[Field.torrent] = torrent;
  words[Field.what] = (traffic.event ?? AnnounceEvent.none) | (4 << 8) | (6881 << 16);
  words[Field.counters + 4] = left;
  words[Field.factors] = up | (100 << 16);
  bytes.set(Buffer.from(`-XX0001-${client.padEnd(12, "\xff")}`, "latin1"), 4 * Field.peerId);
  bytes.set([192, 0, 2, 9], 4 * Field.address);
}

/** Returns the records after `from` as one batch. */
export function batchOf(from: number, traffic: readonly Traffic[]): Batch {
  const batch = new Batch(from);
  const records = new Records(new ArrayBuffer(recordWords * 4), 0, 1);
  for (const one of traffic) {
    const { uploaded = 0, downloaded = 0 } = one;
    writeTraffic(records, one);
    const nothing = {
      excessUploaded: 0,
      excessDownloaded: 0,
      leechSeconds: 0,
      isDuplicate: false,
      isLate: false,
      isRoutine: false,
    };
    records.complete(0, {
      ...{ ...nothing, uploaded, downloaded, seedSeconds: 60, isSnatch: one.isSnatch ?? false },
    });
    batch.add(records, 0);
  }
  return batch;
}
