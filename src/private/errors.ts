import { ClientError } from "../bittorrent/client-error.ts";
import type { PrivateOptions } from "./options.ts";
import { deletedTorrents, notWhitelisted } from "./sites/gazelle/refusals.ts";
import {
  accountNotEnabled,
  clientNotAcceptable,
  downloadingDisabled,
  infoHashNotFound,
  passkeyDoesNotExist,
  unservedTorrents,
} from "./sites/unit3d/refusals.ts";

/** Refuses a request without the passkey of a user. */
export const passkeyNotFound: ClientError = new ClientError("Passkey not found", "passkey-not-found");

/** Refuses a user whom the site has disabled. */
export const userDisabled: ClientError = new ClientError("Your account is disabled", "user-disabled");

/** Refuses a torrent that the site does not have, or has not approved. */
export const unregisteredTorrent: ClientError = new ClientError(
  "Unregistered torrent",
  "unregistered-torrent",
);

/** Refuses a download by a user who may only seed. */
export const leechingForbidden: ClientError = new ClientError(
  "Access denied, leeching forbidden",
  "leeching-forbidden",
);

/** Refuses an announce that cannot be accounted for now; nothing is lost, because counters are cumulative. */
export const accountingBusy: ClientError = new ClientError(
  "The tracker is temporarily unavailable.",
  "accounting-busy",
  { retryIn: 1 },
);

/** Refuses an address from which too many unknown passkeys have come. */
export const tooManyPasskeys: ClientError = new ClientError(
  "Too many unknown passkeys from your address",
  "too-many-passkeys",
  { retryIn: 1 },
);

/** Refuses a client that the rules of the site do not allow. */
export const clientNotAllowed: ClientError = new ClientError(
  "Your client is not allowed",
  "client-not-allowed",
);

/** The texts of a site for its users. */
export interface Refusals {
  readonly passkeyNotFound: ClientError;
  readonly userDisabled: ClientError;
  readonly unregisteredTorrent: ClientError;
  readonly leechingForbidden: ClientError;
  readonly clientNotAllowed: ClientError;
  /** For torrents that the site has, but does not serve: by the number `refusal` of the torrent, from 1. */
  readonly torrents: readonly ClientError[];
  /** A warning, at most 64 characters, for a user whose download slots are taken. */
  readonly slotsTaken: string;
}

/** The texts of sites without software of their own. */
const plainRefusals: Refusals = {
  ...{ passkeyNotFound, userDisabled, unregisteredTorrent, leechingForbidden, clientNotAllowed },
  torrents: [],
  slotsTaken: "Download slot limit reached",
};

const gazelleRefusals: Refusals = {
  ...plainRefusals,
  clientNotAllowed: notWhitelisted,
  torrents: deletedTorrents,
};

const unit3dRefusals: Refusals = {
  ...{ passkeyNotFound: passkeyDoesNotExist, userDisabled: accountNotEnabled },
  ...{ unregisteredTorrent: infoHashNotFound, leechingForbidden: downloadingDisabled },
  clientNotAllowed: clientNotAcceptable,
  torrents: unservedTorrents,
  slotsTaken: "Download slot limit reached",
};

/** Returns the texts of a kind of site, as its users know them. */
export function refusalsOf(site: PrivateOptions["site"]): Refusals {
  if (site === "gazelle") return gazelleRefusals;
  return site === "unit3d" ? unit3dRefusals : plainRefusals;
}

/** All errors of private tracking. */
export const privateErrors: readonly ClientError[] = [
  accountingBusy,
  clientNotAllowed,
  leechingForbidden,
  passkeyNotFound,
  tooManyPasskeys,
  unregisteredTorrent,
  userDisabled,
  ...[gazelleRefusals, unit3dRefusals].flatMap(({ slotsTaken: _, torrents, ...others }) => [
    ...Object.values(others),
    ...torrents,
  ]),
];
