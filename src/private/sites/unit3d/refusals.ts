import { ClientError } from "../../../bittorrent/client-error.ts";

/** Refuses a request without the passkey of a user. */
export const passkeyDoesNotExist: ClientError = new ClientError(
  "Passkey does not exist. Please re-download the .torrent file.",
  "passkey-not-found",
);

/** Refuses a user whose group may not use the tracker. */
export const accountNotEnabled: ClientError = new ClientError(
  "Your account is not enabled.",
  "user-disabled",
);

/** Refuses a torrent that the site does not have. */
export const infoHashNotFound: ClientError = new ClientError("InfoHash not found.", "unregistered-torrent");

/** Refuses a download by a user who may only seed. */
export const downloadingDisabled: ClientError = new ClientError(
  "Your downloading privileges have been disabled.",
  "leeching-forbidden",
);

/** Refuses a client that the site has blacklisted. */
export const clientNotAcceptable: ClientError = new ClientError(
  "Client is not acceptable. Please check our blacklist.",
  "client-not-allowed",
);

/** Torrents that the site has, but does not serve, by {@link torrentRefusal}. */
export const unservedTorrents: readonly ClientError[] = [
  new ClientError("Torrent has been deleted.", "unregistered-torrent"),
  new ClientError("Torrent is pending moderation.", "torrent-not-approved", { retryIn: 1 }),
  new ClientError("Torrent has been rejected.", "torrent-not-approved", { retryIn: 1 }),
  new ClientError("Torrent has been postponed.", "torrent-not-approved", { retryIn: 1 }),
  new ClientError("Torrent not approved.", "torrent-not-approved", { retryIn: 1 }),
];

/** Refusals by the status of a torrent: pending, approved, rejected, postponed. */
const byStatus = [2, 0, 3, 4];
const [deleted, notApproved] = [1, 5];

/** Returns the number of the refusal of a torrent; 0 if it is served. */
export function torrentRefusal(status: number, isDeleted: boolean): number {
  return isDeleted ? deleted : (byStatus[status] ?? notApproved);
}
