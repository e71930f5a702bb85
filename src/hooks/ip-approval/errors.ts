import { ClientError } from "../../bittorrent/client-error.ts";

/** Refuses an address. A client may have another address tomorrow. */
export const unapprovedAddress: ClientError = new ClientError("unapproved address", "unapproved-address", {
  retryIn: 15,
});
