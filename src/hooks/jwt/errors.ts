import { ClientError } from "../../bittorrent/client-error.ts";

/** Refuses an announce without a token in its URL. */
export const missingJwt: ClientError = new ClientError("unapproved request: missing jwt", "missing-jwt", {
  retryIn: "never",
});

/** Refuses an announce that its token does not allow. */
export const invalidJwt: ClientError = new ClientError("unapproved request: invalid jwt", "invalid-jwt");

/** Refuses an announce while there are no keys to verify tokens. */
export const unverifiableJwt: ClientError = new ClientError(
  "unapproved request: jwt cannot be verified now",
  "unverifiable-jwt",
  { retryIn: 1 },
);
