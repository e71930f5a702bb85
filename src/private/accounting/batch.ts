import { AnnounceEvent } from "../../bittorrent/event.ts";
import { formatIPv4, formatIPv6 } from "../../ip/address.ts";
import type { Records } from "../record.ts";
import type { AccountedAnnounce, Addition } from "./sessions.ts";

/** Bytes and times that are added to one user, or to one user and torrent. Credits are bytes times percent. */
export interface Sums {
  rawUploaded: bigint;
  rawDownloaded: bigint;
  creditedUploaded: bigint;
  creditedDownloaded: bigint;
}

/** What is added to one user and torrent. */
export interface History extends Sums {
  user: number;
  torrent: number;
  seedSeconds: number;
  leechSeconds: number;
  /** Raw bytes that were downloaded under a grant for this user and torrent. */
  tokenDownloaded: bigint;
  firstSeen: number;
  lastSeen: number;
  /** Time of the first snatch. */
  completedAt: number | undefined;
}

/** The last announce of a peer. */
export interface PeerRow {
  user: number;
  torrent: number;
  peerId: string;
  ip: string;
  port: number;
  uploaded: number;
  downloaded: number;
  left: number;
  isActive: boolean;
  seconds: number;
  /** Number of announces in the batch. */
  announces: number;
}

/** A download that a user has completed. */
export interface Snatch {
  user: number;
  torrent: number;
  seconds: number;
  ip: string;
}

/** What records from the journal add to the site: sums by key, and the last state of each peer. */
export class Batch {
  /** The records after `from`, up to and including `to`. */
  readonly from: number;
  to: number;
  readonly users: Map<number, Sums> = new Map();
  readonly histories: Map<string, History> = new Map();
  readonly peers: Map<string, PeerRow> = new Map();
  readonly snatches: Snatch[] = [];
  readonly #announce: AccountedAnnounce = emptyAnnounce();
  readonly #addition: Addition = emptyAddition();

  constructor(from: number) {
    this.from = from;
    this.to = from;
  }

  get count(): number {
    return this.to - this.from;
  }

  /** Adds the next record. */
  add(records: Records, index: number): void {
    this.to++;
    if (records.readPosition(index) !== undefined) return;
    const announce = records.readAnnounce(index, this.#announce);
    const addition = records.readAddition(index, this.#addition);
    if (addition.isDuplicate) return;
    const { user, torrent, seconds } = announce;
    const factors = records.factors(index);
    const history = this.#historyOf(user, torrent, seconds);
    if (addition.uploaded > 0 || addition.downloaded > 0) {
      const [uploaded, downloaded] = [BigInt(addition.uploaded), BigInt(addition.downloaded)];
      for (const sums of [this.#userOf(user), history]) {
        sums.rawUploaded += uploaded;
        sums.rawDownloaded += downloaded;
        sums.creditedUploaded += uploaded * BigInt(factors.up);
        sums.creditedDownloaded += downloaded * BigInt(factors.down);
      }
    }
    if (records.isToken(index) && factors.up > 0) history.tokenDownloaded += BigInt(addition.downloaded);
    history.seedSeconds += addition.seedSeconds;
    history.leechSeconds += addition.leechSeconds;
    history.lastSeen = Math.max(history.lastSeen, seconds);
    const ip = formatAddress(records, index);
    if (addition.isSnatch) {
      history.completedAt ??= seconds;
      this.snatches.push({ user, torrent, seconds, ip });
    }
    if (addition.isLate) return;
    const key = `${user} ${torrent} ${announce.peerId}`;
    this.peers.set(key, {
      announces: (this.peers.get(key)?.announces ?? 0) + 1,
      ...{ user, torrent, peerId: announce.peerId, ip, port: records.port(index) },
      ...{ uploaded: announce.uploaded, downloaded: announce.downloaded, left: announce.left },
      ...{ isActive: announce.event !== AnnounceEvent.stopped, seconds },
    });
  }

  #userOf(user: number): Sums {
    const sums = this.users.get(user) ?? emptySums();
    this.users.set(user, sums);
    return sums;
  }

  #historyOf(user: number, torrent: number, seconds: number): History {
    const key = `${user} ${torrent}`;
    let history = this.histories.get(key);
    if (history === undefined) {
      const times = { seedSeconds: 0, leechSeconds: 0, firstSeen: seconds, lastSeen: seconds };
      history = { user, torrent, ...emptySums(), ...times, tokenDownloaded: 0n, completedAt: undefined };
      this.histories.set(key, history);
    }
    return history;
  }
}

/** Formats the address of a record: of IPv4, of IPv6, as hexadecimal digits if it is hashed, or "" if it is not kept. */
function formatAddress(records: Records, index: number): string {
  const address = records.address(index);
  const family = records.family(index);
  if (family === 4) return formatIPv4(address, 0);
  if (family === 6) return formatIPv6(address, 0);
  return family === hashedFamily ? Buffer.from(address).toString("hex") : "";
}

/** The family of a record whose address is a hash; 0 stands for no address. */
export const hashedFamily = 1;

export function emptyAnnounce(): AccountedAnnounce {
  return {
    ...{ seconds: 0, user: 0, torrent: 0, peerId: "", event: AnnounceEvent.none },
    ...{ uploaded: 0, downloaded: 0, left: 0, isForwarded: false },
  };
}

export function emptyAddition(): Addition {
  return {
    ...{ uploaded: 0, downloaded: 0, excessUploaded: 0, excessDownloaded: 0 },
    ...{ seedSeconds: 0, leechSeconds: 0, isSnatch: false, isDuplicate: false, isLate: false },
  };
}

function emptySums(): Sums {
  return { rawUploaded: 0n, rawDownloaded: 0n, creditedUploaded: 0n, creditedDownloaded: 0n };
}
