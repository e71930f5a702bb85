import { ClientError } from "../../../bittorrent/client-error.ts";

/** Why a torrent was deleted, by the numbers of Gazelle. */
const reasons = [
  ...[
    "Dupe",
    "Trump",
    "Bad File Names",
    "Bad Folder Names",
    "Bad Tags",
    "Disallowed Format",
    "Discs Missing",
  ],
  ...["Discography", "Edited Log", "Inaccurate Bitrate", "Low Bitrate", "Mutt Rip", "Disallowed Source"],
  ...["Encode Errors", "Specifically Banned", "Tracks Missing", "Transcode", "Unapproved Cassette"],
  ...["Unsplit Album", "User Compilation", "Wrong Format", "Wrong Media", "Audience Recording"],
] as const;

/** The refusals of deleted torrents: the first without a reason, and one for each reason. */
export const deletedTorrents: readonly ClientError[] = [
  new ClientError("Unregistered torrent", "unregistered-torrent"),
  ...reasons.map((reason) => new ClientError(`Unregistered torrent: ${reason}`, "unregistered-torrent")),
];

/** Refuses a client that the whitelist lacks. */
export const notWhitelisted: ClientError = new ClientError(
  "Your client is not on the whitelist",
  "client-not-allowed",
);

/** Returns the number of the refusal of a deleted torrent. @param reason  Gazelle's number; any other number is no reason */
export function deletedTorrent(reason: number): number {
  return Number.isInteger(reason) && reason >= 0 && reason < reasons.length ? reason + 2 : 1;
}
