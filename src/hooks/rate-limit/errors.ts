import { ClientError } from "../../bittorrent/client-error.ts";

/** Refuses a request above the limit. */
export const rateLimited: ClientError = new ClientError("rate limit exceeded", "rate-limited", {
  retryIn: 1,
});
