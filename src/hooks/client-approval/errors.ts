import { ClientError } from "../../bittorrent/client-error.ts";

/** Refuses a client by its peer id. Of lists that stand in the configuration; those that are followed may change. */
export const unapprovedClient: ClientError = new ClientError("unapproved client", "unapproved-client", {
  retryIn: "never",
});
