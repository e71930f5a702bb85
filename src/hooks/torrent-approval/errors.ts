import { ClientError } from "../../bittorrent/client-error.ts";

/** Refuses a torrent. Of lists that stand in the configuration; those that are followed may change. */
export const unapprovedTorrent: ClientError = new ClientError("unapproved torrent", "unapproved-torrent", {
  retryIn: "never",
});
