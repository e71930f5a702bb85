import { ClientError } from "../bittorrent/client-error.ts";

/** Refuses a request without the passkey of a user. */
export const passkeyNotFound: ClientError = new ClientError("Passkey not found", "passkey-not-found");

/** Refuses a user whom the site has disabled. */
export const userDisabled: ClientError = new ClientError("Your account is disabled", "user-disabled");

/** Refuses a torrent that the site does not have, or has not approved. */
export const unregisteredTorrent: ClientError = new ClientError(
  "Unregistered torrent",
  "unregistered-torrent",
);

/** Refuses a download by a user who may only seed. */
export const leechingForbidden: ClientError = new ClientError(
  "Access denied, leeching forbidden",
  "leeching-forbidden",
);

/** Refuses an announce that cannot be accounted for now; nothing is lost, because counters are cumulative. */
export const accountingBusy: ClientError = new ClientError(
  "The tracker is temporarily unavailable.",
  "accounting-busy",
  { retryIn: 1 },
);

/** All errors of private tracking. */
export const privateErrors: readonly ClientError[] = [
  accountingBusy,
  leechingForbidden,
  passkeyNotFound,
  unregisteredTorrent,
  userDisabled,
];
