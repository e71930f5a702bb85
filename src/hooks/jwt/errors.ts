import { ClientError } from "../../bittorrent/client-error.ts";

/** Refuses an announce whose URL has no token. */
export const missingJwt: ClientError = new ClientError("unapproved request: missing jwt", "missing-jwt", {
  retryIn: "never",
});

/** Refuses an announce whose token does not allow it. */
export const invalidJwt: ClientError = new ClientError("unapproved request: invalid jwt", "invalid-jwt");

/** Refuses an announce while there are no keys to verify any token. */
export const unverifiableJwt: ClientError = new ClientError(
  "unapproved request: jwt cannot be verified now",
  "unverifiable-jwt",
  { retryIn: 1 },
);
