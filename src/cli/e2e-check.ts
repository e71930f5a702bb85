/** What the checks of `chihaya e2e` share. */
import type { SwarmCounts } from "../client/exchange.ts";

/** The tracker responded with something unexpected. */
export class CheckFailure extends Error {}

/** Receives each response, for `--debug`. */
export type Trace = (text: string) => void;

/** Returns the peer id of a check's peer: 1, 2, 3, ..., 19, and `last`. */
export function peerIdOf(last: number): Uint8Array {
  const id = Uint8Array.from({ length: 20 }, (_, i) => i + 1);
  id[19] = last;
  return id;
}

/** @throws CheckFailure unless a scrape counts no seeder and `leechers` */
export function expectCount(when: string, counts: SwarmCounts | undefined, leechers: number): void {
  const { complete = 0, incomplete = 0 } = counts ?? {};
  if (complete === 0 && incomplete === leechers) return;
  throw new CheckFailure(
    `${when}, the scrape should count 0 seeders and ${leechers} leechers, but counts ${complete} and ${incomplete}`,
  );
}
