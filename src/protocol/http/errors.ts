import { ClientError } from "../../bittorrent/client-error.ts";

/** A `%` in the query without two hexadecimal digits behind it. */
export const invalidQueryEscape: ClientError = new ClientError("invalid query escape", "invalid-query");
/** More parameters than any client sends. */
export const tooManyParams: ClientError = new ClientError("invalid query", "invalid-query");
export const invalidInfoHash: ClientError = new ClientError("provided invalid infohash", "invalid-infohash");
export const noInfoHash: ClientError = new ClientError("no info_hash parameter supplied", "missing-infohash");
export const multipleInfoHashes: ClientError = new ClientError(
  "multiple info_hash parameters supplied",
  "multiple-infohashes",
);
export const missingPeerId: ClientError = unparsable("peer_id");
export const invalidPeerId: ClientError = new ClientError(
  "failed to provide valid peer_id",
  "invalid-parameter",
);
export const unparsablePort: ClientError = unparsable("port");
/** The address in a proxy's header is not an IP literal. */
export const unparsableIp: ClientError = new ClientError("failed to parse peer IP address", "unparsable-ip");
/** Peers cannot connect to port 0. */
export const invalidPort: ClientError = new ClientError("invalid port", "invalid-port");
/** Peers cannot connect to this address (unspecified, multicast, broadcast). */
export const invalidIp: ClientError = new ClientError("invalid IP", "invalid-ip");

function unparsable(name: string): ClientError {
  return new ClientError(`failed to parse parameter: ${name}`, "invalid-parameter");
}
