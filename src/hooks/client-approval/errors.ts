import { ClientError } from "../../bittorrent/client-error.ts";

/**
 * Refuses a client by its peer id, for fixed lists; a list from a file or URL can change, so its refusal is not final.
 */
export const unapprovedClient: ClientError = new ClientError("unapproved client", "unapproved-client", {
  retryIn: "never",
});
