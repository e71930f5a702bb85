import type { Batch } from "./accounting/batch.ts";
import type {
  DirectoryChange,
  DirectoryClient,
  DirectoryGrant,
  DirectoryGroup,
  DirectorySize,
  DirectoryTorrent,
  DirectoryUser,
} from "./directory-records.ts";
import type { SiteRecords } from "./site-records.ts";

/** The result of {@link Site.apply}. */
export type Applied =
  | { isApplied: true; quarantined: number }
  /** The site has applied another record last; the batch must begin after that one. */
  | { isApplied: false; last: number };

/** Another tracker has the accounts of the site. */
export class SiteInUseError extends Error {
  /**
   * @param place   the database
   * @param remedy  for a lock that a dead tracker has left behind, if that is possible
   */
  constructor(place: string, remedy = "") {
    super(
      `${place}: another tracker has the accounts of this site; stop that tracker, or connect this one to it with database: ` +
        `"tracker://HOST:PORT"${remedy}`,
    );
  }
}

/**
 * The database of a private site: where users and torrents come from, and where traffic goes. Used by the accountant alone, which
 * makes one call at a time. A method rejects if the site is away; a later call may succeed.
 */
export interface Site {
  /**
   * Called once, before all other methods.
   * @param steer  replaces records of the directory at once, for sites that send their changes
   */
  open(steer: (change: DirectoryChange) => void): void;
  /** Returns how many records there are to read. */
  size(): Promise<DirectorySize>;
  /** Yields all users, and then all torrents. The grants and rules come after them. */
  users(): AsyncIterable<DirectoryUser>;
  torrents(): AsyncIterable<DirectoryTorrent>;
  /** The records that operators keep with the tracker; undefined if the site has software for them. */
  readonly records?: SiteRecords;
  /** Yields all grants. A site without grants has no such method. */
  grants?(): AsyncIterable<DirectoryGrant>;
  /** Returns the groups of users, and the rules about clients. A site without such rules has no such method. */
  rules?(): Promise<{ groups: readonly DirectoryGroup[]; clients: readonly DirectoryClient[] }>;
  /**
   * Returns what has changed since these calls or the last call; undefined if nothing has. A call tells the site that the
   * directory has the changes of the call before.
   */
  changes(): Promise<DirectoryChange | undefined>;
  /**
   * Returns the sequence of the last record of a journal that the site has applied. If the site knows no journal at all, it notes
   * this one, at 0: from then on it refuses the tracker of another journal.
   * @returns undefined for an unknown journal of a site that knows another one
   */
  lastApplied(instance: string): Promise<number | undefined>;
  /**
   * Applies a batch and notes its last record, all in one transaction. After a rejection the batch may have been applied or not:
   * {@link lastApplied} says which.
   */
  apply(instance: string, batch: Batch): Promise<Applied>;
  /**
   * Notes that the site has all records up to `seq`. Only a site that fetches its traffic has this method; the accountant then calls
   * {@link apply} for none of it.
   */
  acknowledge?(instance: string, seq: number): Promise<void>;
  /**
   * Marks peers inactive that have not announced since `activeAfter`, and forgets those that have not since `keptAfter`. Seconds.
   */
  expirePeers(activeAfter: number, keptAfter: number): Promise<void>;
  close(): Promise<void>;
}
