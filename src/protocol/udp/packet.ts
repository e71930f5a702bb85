import { ClientError } from "../../bittorrent/client-error.ts";

/**
 * The actions of BEP 15. `announceIPv6` is the announce of older opentrackers, with an address field of 16 bytes; BEP
 * 15 announces over IPv6 with `announce`.
 */
export const Action = { connect: 0, announce: 1, scrape: 2, error: 3, announceIPv6: 4 } as const;

/** The constant in front of a connect request: 0x41727101980, as two words. */
export const connectMagic = { high: 0x417, low: 0x27101980 } as const;

/** Bytes of the head of each request: connection id 8, action 4, transaction id 4. */
export const requestHeadLength = 16;
/** Bytes of the head of an announce response: action, transaction id, interval, leechers, seeders. */
export const announceHeadLength = 20;

/** Bytes of an announce before its options, by action: the address field has 4 or 16 bytes. */
export const announceLength = { 1: 98, 4: 110 } as const;

/** Maximum infohashes in a scrape: "up to about 74" (BEP 15). */
export const maxScrapeInfoHashes = 74;

/**
 * Maximum bytes of a response that no router fragments: Ethernet's 1,500 without the headers over IPv4; over IPv6 the
 * 1,280 that every link carries, without the headers.
 */
export const maxResponseLength = { 4: 1472, 6: 1232 } as const;

// The texts are Chihaya's (frontend/udp/frontend.go, parser.go, sanitize.go).
export const badConnectionId: ClientError = new ClientError("bad connection ID", "bad-connection-id");
export const malformedPacket: ClientError = new ClientError("malformed packet", "malformed-packet");
export const unknownAction: ClientError = new ClientError("unknown action ID", "unknown-action");
export const invalidPort: ClientError = new ClientError("invalid port", "invalid-port");
