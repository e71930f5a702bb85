import { ClientError } from "../../bittorrent/client-error.ts";

/** Refuses an address. Not final, because a client may get another address. */
export const unapprovedAddress: ClientError = new ClientError("unapproved address", "unapproved-address", {
  retryIn: 15,
});
