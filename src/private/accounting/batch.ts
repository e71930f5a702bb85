import { AnnounceEvent } from "../../bittorrent/event.ts";
import { formatIPv4, formatIPv6 } from "../../ip/address.ts";
import { Field, Records, recordBytes, recordWords } from "../record.ts";
import { addBytes, type Bytes, multiplyBytes } from "./bytes.ts";
import type { AccountedAnnounce, Addition } from "./sessions.ts";

/** Records for which a new batch has room. */
const firstRoom = 1024;
/** Above the number of records of a batch. A number has room for an id of 32 bits times this, and for an index. */
const indexes = 2 ** 21;

/** Bytes that are added to one user, or to one user and torrent. Credits are bytes times percent. */
export interface Sums {
  rawUploaded: Bytes;
  rawDownloaded: Bytes;
  creditedUploaded: Bytes;
  creditedDownloaded: Bytes;
}

/** What is added to one user. */
export interface UserSums extends Sums {
  user: number;
}

/** What is added to one user and torrent. */
export interface History extends Sums {
  user: number;
  torrent: number;
  seedSeconds: number;
  leechSeconds: number;
  /** Raw bytes that were downloaded under a grant for this user and torrent. */
  tokenDownloaded: Bytes;
  firstSeen: number;
  lastSeen: number;
  /** Time of the first snatch. */
  completedAt: number | undefined;
  /** Whether a peer of the batch is active at its end. */
  isActive: boolean;
}

/** The last announce of a peer. */
export interface PeerRow {
  history: History;
  user: number;
  torrent: number;
  /** 20 bytes as Latin-1. */
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
  history: History;
  user: number;
  torrent: number;
  seconds: number;
  ip: string;
  /** Whether a grant for this user and torrent had an effect on it. */
  usesToken: boolean;
}

/** What records add to a site. */
export interface Contents {
  readonly users: UserSums[];
  readonly histories: History[];
  readonly peers: PeerRow[];
  readonly snatches: Snatch[];
  readonly recounts: Set<number>;
}

/** Records from the journal, and what they add to the site: sums by key, and the last state of each peer. */
export class Batch {
  /** The records after `from`, up to and including `to`. */
  readonly from: number;
  #records: Records = new Records(new ArrayBuffer(firstRoom * recordBytes), 0, firstRoom);
  #count = 0;
  #contents: Contents | undefined;

  constructor(from: number) {
    this.from = from;
  }

  get to(): number {
    return this.from + this.#count;
  }

  get count(): number {
    return this.#count;
  }

  /** Adds a copy of the next records. @param index  of the first one */
  add(records: Records, index: number, count = 1): void {
    this.#contents = undefined;
    this.#makeRoom(this.#count + count);
    const from = index * recordBytes;
    this.#records.bytes.set(
      records.bytes.subarray(from, from + count * recordBytes),
      this.#count * recordBytes,
    );
    this.#count += count;
  }

  /** What is added to users, by the order of their ids. */
  get users(): readonly UserSums[] {
    return this.sum().users;
  }

  /** What is added to users and torrents, by the order of both. */
  get histories(): readonly History[] {
    return this.sum().histories;
  }

  /** The last state of each peer, by the order of users, torrents and the bytes of peer ids. */
  get peers(): readonly PeerRow[] {
    return this.sum().peers;
  }

  get snatches(): readonly Snatch[] {
    return this.sum().snatches;
  }

  /** The torrents whose peers must be counted anew; those of all snatches are among them. */
  get recounts(): ReadonlySet<number> {
    return this.sum().recounts;
  }

  #makeRoom(count: number): void {
    const { bytes } = this.#records;
    if (count * recordBytes <= bytes.length) return;
    const room = Math.max(count, (2 * bytes.length) / recordBytes);
    this.#records = new Records(new ArrayBuffer(room * recordBytes), 0, room);
    this.#records.bytes.set(bytes);
  }

  /** Sums the records, so that the first use of the sums takes no time. */
  sum(): Contents {
    this.#contents ??= sum(this.#records, this.#count);
    return this.#contents;
  }
}

/** Sums the first `count` records. */
function sum(records: Records, count: number): Contents {
  const contents: Contents = { users: [], histories: [], peers: [], snatches: [], recounts: new Set() };
  const order = sorted(records, count);
  const { words } = records;
  for (let start = 0, end = 0; start < order.length; start = end) {
    const at = order[start]! * recordWords;
    for (end = start + 1; end < order.length; end++) {
      const next = order[end]! * recordWords;
      const isSameUser = words[next + Field.user] === words[at + Field.user];
      if (!isSameUser || words[next + Field.torrent] !== words[at + Field.torrent]) break;
    }
    const history = emptyHistory(
      words[at + Field.user]! >>> 0,
      words[at + Field.torrent]! >>> 0,
      records.seconds(order[start]!),
    );
    contents.histories.push(history);
    for (let i = start; i < end; i++) addRecord(history, records, order[i]!, contents);
    addToUser(contents.users, history);
    addPeers(history, records, order.subarray(start, end), contents.peers);
  }
  return contents;
}

/** Returns the indexes of the records that count, by user, torrent and the order of their arrival. */
function sorted(records: Records, count: number): Uint32Array {
  const { buffer, byteOffset } = records.words;
  const ids = new Uint32Array(buffer, byteOffset, count * recordWords);
  const order = new Uint32Array(count);
  let size = 0;
  for (let i = 0; i < count; i++) {
    const isPosition = ids[i * recordWords + Field.user] === 0;
    if (!isPosition && !records.readAddition(i, addition).isDuplicate) order[size++] = i;
  }
  const keys = new Float64Array(size);
  for (const field of [Field.torrent, Field.user]) {
    for (let i = 0; i < size; i++) keys[i] = ids[order[i]! * recordWords + field]! * indexes + i;
    keys.sort();
    const before = order.slice(0, size);
    for (let i = 0; i < size; i++) order[i] = before[keys[i]! - Math.floor(keys[i]! / indexes) * indexes]!;
  }
  return order.subarray(0, size);
}

/** Adds a record to the history of its user and torrent. */
function addRecord(
  history: History,
  records: Records,
  index: number,
  { snatches, recounts }: Contents,
): void {
  records.readAddition(index, addition);
  const { uploaded, downloaded, isSnatch, isRoutine } = addition;
  const seconds = records.seconds(index);
  const { up, down } = records.factors(index);
  const usesToken = up > 0 && records.isToken(index);
  history.rawUploaded = addBytes(history.rawUploaded, uploaded);
  history.rawDownloaded = addBytes(history.rawDownloaded, downloaded);
  history.creditedUploaded = addBytes(history.creditedUploaded, multiplyBytes(uploaded, up));
  history.creditedDownloaded = addBytes(history.creditedDownloaded, multiplyBytes(downloaded, down));
  if (usesToken) history.tokenDownloaded = addBytes(history.tokenDownloaded, downloaded);
  history.seedSeconds += addition.seedSeconds;
  history.leechSeconds += addition.leechSeconds;
  history.lastSeen = Math.max(history.lastSeen, seconds);
  const { user, torrent } = history;
  // A client may be a seeder already when it says that its download is complete.
  if (!isRoutine || isSnatch) recounts.add(torrent);
  if (!isSnatch) return;
  history.completedAt ??= seconds;
  snatches.push({ history, user, torrent, seconds, ip: formatAddress(records, index), usesToken });
}

/** Adds the bytes of a history to its user, who is the last one of `users` or comes after that one. */
function addToUser(users: UserSums[], history: History): void {
  if (history.rawUploaded === 0 && history.rawDownloaded === 0) return;
  const { user, rawUploaded, rawDownloaded, creditedUploaded, creditedDownloaded } = history;
  const last = users.at(-1);
  if (last?.user !== user) {
    users.push({ user, rawUploaded, rawDownloaded, creditedUploaded, creditedDownloaded });
    return;
  }
  last.rawUploaded = addBytes(last.rawUploaded, rawUploaded);
  last.rawDownloaded = addBytes(last.rawDownloaded, rawDownloaded);
  last.creditedUploaded = addBytes(last.creditedUploaded, creditedUploaded);
  last.creditedDownloaded = addBytes(last.creditedDownloaded, creditedDownloaded);
}

/** Lists the peers of one user and torrent. @param order  the indexes of the records, by the order of arrival */
function addPeers(history: History, records: Records, order: Uint32Array, peers: PeerRow[]): void {
  const first = peers.length;
  if (order.length === 1) addPeer(history, records, order[0]!, records.peerIdText(order[0]!), peers);
  else {
    const announces = Array.from(order, (index) => ({ index, peerId: records.peerIdText(index) }));
    announces.sort((a, b) => (a.peerId < b.peerId ? -1 : a.peerId > b.peerId ? 1 : a.index - b.index));
    for (const { index, peerId } of announces) addPeer(history, records, index, peerId, peers);
  }
  for (let i = first; i < peers.length; i++) history.isActive ||= peers[i]!.isActive;
}

/** Adds an announce to the last one of `peers`, or adds a peer. */
function addPeer(history: History, records: Records, index: number, peerId: string, peers: PeerRow[]): void {
  if (records.readAddition(index, addition).isLate) return;
  const { user, torrent, event, uploaded, downloaded, left, seconds } = records.readNumbers(index, announce);
  let peer = peers.at(-1);
  if (peer?.history !== history || peer.peerId !== peerId) {
    peer = emptyPeer(history, user, torrent, peerId);
    peers.push(peer);
  }
  peer.ip = formatAddress(records, index);
  peer.port = records.port(index);
  peer.uploaded = uploaded;
  peer.downloaded = downloaded;
  peer.left = left;
  peer.isActive = event !== AnnounceEvent.stopped;
  peer.seconds = seconds;
  peer.announces++;
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
    ...{
      seedSeconds: 0,
      leechSeconds: 0,
      isSnatch: false,
      isDuplicate: false,
      isLate: false,
      isRoutine: false,
    },
  };
}

/** The announce and the addition of the record that is read. */
const announce: AccountedAnnounce = emptyAnnounce();
const addition: Addition = emptyAddition();

function emptyHistory(user: number, torrent: number, seconds: number): History {
  return {
    user,
    torrent,
    rawUploaded: 0,
    rawDownloaded: 0,
    creditedUploaded: 0,
    creditedDownloaded: 0,
    seedSeconds: 0,
    leechSeconds: 0,
    tokenDownloaded: 0,
    firstSeen: seconds,
    lastSeen: seconds,
    completedAt: undefined,
    isActive: false,
  };
}

function emptyPeer(history: History, user: number, torrent: number, peerId: string): PeerRow {
  return {
    history,
    user,
    torrent,
    peerId,
    ip: "",
    port: 0,
    uploaded: 0,
    downloaded: 0,
    left: 0,
    isActive: false,
    seconds: 0,
    announces: 0,
  };
}
