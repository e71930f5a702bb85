import { type AnnounceRequest, Counter } from "../../bittorrent/announce.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { infoHashLength, peerIdLength } from "../../bittorrent/info-hash.ts";
import { Address, type Family, parseAddress } from "../../ip/address.ts";
import { parseCounter, parseEvent, parseNumber, wordRange } from "../values.ts";
import * as errors from "./errors.ts";
import { maxParams, Param, QueryReader } from "./query.ts";

/** The operator's options for announces over HTTP. */
export interface AnnounceQueryOptions {
  maxNumWant: number;
  defaultNumWant: number;
  /** Whether the parameters `ip`, `ipv4` and `ipv6` count. */
  allowIpSpoofing: boolean;
}

/** The content of an announce over HTTP beside the {@link AnnounceRequest}; reused. */
export class AnnounceExtras {
  /**
   * Whether these parameters count and the query has a usable `ip`, an `ipv4` of that family, an `ipv6` of that family.
   */
  hasIp = false;
  hasIpv4 = false;
  hasIpv6 = false;
  /** The addresses; each is valid only if its flag above is true. */
  readonly ip: Address = new Address();
  readonly ipv4: Address = new Address();
  readonly ipv6: Address = new Address();
  /** Whether the client asks for a non-compact list without peer ids. */
  noPeerId = false;
}

const query = new QueryReader();

/**
 * Parses the query of an announce, the raw bytes after the `?`, in one pass and in place. Fills all of `request` but
 * its addresses and its params: the caller fills those, because addresses have several sources. Ignores an unusable
 * `ip`, `ipv4` or `ipv6`.
 *
 * Errors, their order and their texts are Chihaya's (http/parser.go:44-133): first bad escapes and infohashes of a
 * wrong length, in the order of the query; then missing or unparsable parameters. Chihaya refuses some requests of real
 * clients, which this parser accepts:
 * - an unknown event counts as none;
 * - an unusable `numwant` counts as the default;
 * - `left`, `uploaded` and `downloaded` that are absent, negative or not whole numbers are unknown, so the peer is a
 *   leecher that has transferred nothing (WebTorrent's client cannot know what is left of a magnet link).
 *
 * The last value of a repeated parameter wins; a repeated `info_hash` is an error.
 *
 * @returns the error that refuses the announce, or undefined; after an error, `request` is partly filled. Never throws,
 * never allocates.
 */
export function parseAnnounceQuery(
  bytes: Uint8Array,
  start: number,
  end: number,
  request: AnnounceRequest,
  options: AnnounceQueryOptions,
  extra: AnnounceExtras,
): ClientError | undefined {
  const { counters } = request;
  let infoHashes = 0;
  let peerId = -1;
  let port = -1;
  let cryptoPort = -1;
  let numWant = -1;
  counters.fill(0);
  counters[2 * Counter.left] = counters[2 * Counter.left + 1] = wordRange - 1;
  request.event = AnnounceEvent.none;
  request.compact = true;
  extra.hasIp = extra.hasIpv4 = extra.hasIpv6 = false;
  extra.noPeerId = false;

  query.open(bytes, start, end);
  for (let count = 0; ; count++) {
    const param = query.next();
    if (param === Param.end) break;
    if (param === Param.badEscape) return errors.invalidQueryEscape;
    if (count === maxParams) return errors.tooManyParams;
    if (param === Param.unknown) continue;
    if (param === Param.infoHash) {
      infoHashes++;
      if (query.readBinary(request.infoHash) !== infoHashLength) return errors.invalidInfoHash;
      continue;
    }
    if (param === Param.peerId) {
      peerId = query.readBinary(request.peerId);
      continue;
    }
    query.readText();
    const { text, textStart, textEnd } = query;
    switch (param) {
      case Param.uploaded:
        parseCounter(text, textStart, textEnd, counters, 2 * Counter.uploaded, 0);
        break;
      case Param.downloaded:
        parseCounter(text, textStart, textEnd, counters, 2 * Counter.downloaded, 0);
        break;
      case Param.left:
        parseCounter(text, textStart, textEnd, counters, 2 * Counter.left, wordRange - 1);
        break;
      case Param.port:
        port = parseNumber(text, textStart, textEnd);
        break;
      case Param.cryptoPort:
        cryptoPort = parseNumber(text, textStart, textEnd);
        break;
      case Param.numWant:
        numWant = parseNumber(text, textStart, textEnd);
        break;
      case Param.event:
        request.event = parseEvent(text, textStart, textEnd);
        break;
      case Param.compact:
        request.compact = isSet(text, textStart, textEnd);
        break;
      case Param.noPeerId:
        extra.noPeerId = isSet(text, textStart, textEnd);
        break;
      case Param.ip:
        extra.hasIp = options.allowIpSpoofing && parseUsable(text, textStart, textEnd, extra.ip);
        break;
      case Param.ipv4:
        extra.hasIpv4 = options.allowIpSpoofing && parseUsable(text, textStart, textEnd, extra.ipv4, 4);
        break;
      case Param.ipv6:
        extra.hasIpv6 = options.allowIpSpoofing && parseUsable(text, textStart, textEnd, extra.ipv6, 6);
        break;
    }
  }

  if (infoHashes === 0) return errors.noInfoHash;
  if (infoHashes > 1) return errors.multipleInfoHashes;
  if (peerId < 0) return errors.missingPeerId;
  if (peerId !== peerIdLength) return errors.invalidPeerId;
  request.numWant = Math.min(numWant < 0 ? options.defaultNumWant : numWant, options.maxNumWant);
  if (port < 0 || port > 0xffff) return errors.unparsablePort;
  if (port === 0 && cryptoPort > 0 && cryptoPort <= 0xffff) port = cryptoPort; // BiglyBT, if it accepts encrypted peers only
  request.port = port;
  return port === 0 ? errors.invalidPort : undefined;
}

/** Parses an IP literal. @returns whether the address is usable, and of `family` if a family is given */
function parseUsable(bytes: Uint8Array, start: number, end: number, out: Address, family?: Family): boolean {
  return parseAddress(bytes, start, end, out) && out.isUsable() && (family ?? out.family) === out.family;
}

function isSet(bytes: Uint8Array, start: number, end: number): boolean {
  return end > start && !(end === start + 1 && bytes[start] === 0x30);
}
