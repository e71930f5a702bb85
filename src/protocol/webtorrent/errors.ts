import { ClientError } from "../../bittorrent/client-error.ts";

export { invalidInfoHash, invalidPeerId, missingPeerId, noInfoHash } from "../http/errors.ts";

/** The message is no JSON that the tracker reads. Nobody sees the text: without an infohash, no client takes a failure. */
export const malformedMessage: ClientError = new ClientError("malformed message", "malformed-message");
/** The action is neither `announce` nor `scrape`. */
export const unknownAction: ClientError = new ClientError("unknown action", "unknown-action");
/** An answer without the id of an offer, or without an SDP that is small enough. */
export const invalidAnswer: ClientError = new ClientError("invalid answer", "invalid-parameter");
