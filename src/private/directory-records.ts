/** Characters of a passkey: letters and digits. */
export const passkeyLength = 32;

/** What the site says of a user. */
export interface DirectoryUser {
  id: number;
  /** {@link passkeyLength} letters and digits. */
  passkey: string;
  isEnabled: boolean;
  canLeech: boolean;
  isHidden: boolean;
  /** Id of the user's group; 0 or undefined without one. */
  group?: number;
}

/**
 * Percent of the uploaded and the downloaded bytes that count, 0 to 65534, until a time. A source that does not set a percentage
 * leaves it to the others, see {@link file://./factors.ts}.
 */
export interface FactorSource {
  up?: number | undefined;
  down?: number | undefined;
  /** Seconds since 1970 from which on the source says nothing; 0 or undefined without an end. */
  until?: number | undefined;
}

/** What the site says of a torrent. */
export interface DirectoryTorrent extends FactorSource {
  id: number;
  /** 20 bytes each: of version 1, and the first bytes of version 2. */
  infoHashes: readonly Uint8Array[];
  /** Why announces are refused, as an index into the `torrents` of the site's refusals; 0 or undefined if they are not. */
  refusal?: number;
}

/** What the site says of a group of users. */
export interface DirectoryGroup extends FactorSource {
  id: number;
  /** Torrents that a user may download at the same time; undefined without a limit. */
  slots?: number | undefined;
}

/** Factors for a user and a torrent. With user 0 for everybody, with torrent 0 for all torrents. */
export interface DirectoryGrant extends FactorSource {
  user: number;
  torrent: number;
}

/** A change of the site: what the directory must forget, and what it must have now. */
export interface DirectoryChange {
  passkeys: readonly string[];
  infoHashes: readonly Uint8Array[];
  users: readonly DirectoryUser[];
  torrents: readonly DirectoryTorrent[];
  grants?: readonly (DirectoryGrant & { isRemoved?: boolean })[];
  /** All groups, and all rules about clients, if any of them has changed. */
  groups?: readonly DirectoryGroup[];
  clients?: readonly DirectoryClient[];
}

/** A rule about clients, by the beginning of their peer id. */
export interface DirectoryClient {
  /** 1 to 20 bytes. */
  prefix: Uint8Array;
  isAllowed: boolean;
}

/** Numbers of records. */
export interface DirectorySize {
  users: number;
  torrents: number;
  groups?: number;
  grants?: number;
  clients?: number;
}
