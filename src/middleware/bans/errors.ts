import { ClientError } from "../../bittorrent/client-error.ts";

/** Refuses a client in a banned network. Bans end, so the client may return. */
export const bannedAddress: ClientError = new ClientError("address is banned", "banned-address", {
  retryIn: 60,
});

/** Refuses a banned torrent. */
export const bannedTorrent: ClientError = new ClientError("torrent is banned", "banned-torrent", {
  retryIn: 60,
});
