import { ClientError } from "../../bittorrent/client-error.ts";

/** Refuses a torrent, for fixed lists; a list from a file or URL can change, so its refusal is not final. */
export const unapprovedTorrent: ClientError = new ClientError("unapproved torrent", "unapproved-torrent", {
  retryIn: "never",
});
