import { Address } from "../../bittorrent/address.ts";
import type { AnnounceRequest } from "../../bittorrent/announce.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import type { ScrapeRequest } from "../../bittorrent/scrape.ts";
import { noInfoHash } from "./errors.ts";

/** What the operator has set about announces over HTTP. */
export interface AnnounceQueryOptions {
  maxNumWant: number;
  defaultNumWant: number;
  /** Whether `ip`, `ipv4` and `ipv6` are believed. */
  allowIpSpoofing: boolean;
}

/** What an announce over HTTP says beside the {@link AnnounceRequest}; reused. */
export class AnnounceExtras {
  /** Whether `address` was given in the query, and spoofing is allowed. */
  addressGiven = false;
  readonly address: Address = new Address();
  /** Whether a non-compact list is wanted without peer ids. */
  noPeerId = false;
}

export function parseAnnounceQuery(
  _bytes: Uint8Array,
  _start: number,
  _end: number,
  _request: AnnounceRequest,
  _options: AnnounceQueryOptions,
  _extra: AnnounceExtras,
): ClientError | undefined {
  return noInfoHash;
}

export function parseScrapeQuery(
  _bytes: Uint8Array,
  _start: number,
  _end: number,
  _request: ScrapeRequest,
): ClientError | undefined {
  return noInfoHash;
}
