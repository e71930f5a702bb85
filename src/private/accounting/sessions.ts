import { AnnounceEvent } from "../../bittorrent/event.ts";

/** One accepted announce of a user, as the accountant gets it. */
export interface AccountedAnnounce {
  /** Seconds since 1970. */
  seconds: number;
  user: number;
  /** Both infohashes of a hybrid torrent have one number. */
  torrent: number;
  /** 20 bytes as Latin-1. */
  peerId: string;
  event: AnnounceEvent;
  /** Bytes since the client started the torrent, by the client itself. */
  uploaded: number;
  downloaded: number;
  /** Bytes; 0 makes a seeder. */
  left: number;
}

/** What one announce adds. The accountant reuses it: copy what must outlive the call. */
export interface Addition {
  /** Bytes to credit, before any factor of a torrent or a user. */
  uploaded: number;
  downloaded: number;
  /** Bytes that the client claims beyond the credited ones, at a rate that no client reaches. */
  excessUploaded: number;
  excessDownloaded: number;
  /** Seconds for which the user has seeded the torrent, each second once, however many clients the user has. */
  seedSeconds: number;
  /** Seconds for which the user has downloaded the torrent, by the same rule. */
  leechSeconds: number;
  /** Whether a run of the client has downloaded the torrent to its end. */
  isSnatch: boolean;
  /** Whether the announce repeats the end of a run that has ended already; it changes nothing. */
  isDuplicate: boolean;
}

/** Bounds of the rules. */
export interface SessionLimits {
  /** Bytes per second; an announce that claims more is credited with nothing. */
  maxRate: number;
  /** Longest time in seconds between two announces that counts as seeding or downloading. */
  maxGap: number;
  /** Seconds after the last announce for which a session is kept. */
  idle: number;
}

/**
 * Seconds for which announces of one client may overtake each other. A value below the mark is confirmed only by an announce that
 * comes later than that.
 */
const reorderWindow = 10;

/** Whether the clock was set back between two announces: they are in the wrong order by more than announces of a client can be. */
function isSetBack(before: number, seconds: number): boolean {
  return before - seconds >= reorderWindow;
}

/** Seconds after the end of a run in which its last announce may arrive again, from the client's other address. */
const duplicateWindow = 600;

const none = -1;

/** The counters of one client of a user for one torrent. Byte counts are numbers up to 2^53. */
interface Session {
  /** The highest credited value of each counter. */
  uploadedMark: number;
  downloadedMark: number;
  /** A value below the mark that waits for confirmation; {@link none} without one. */
  uploadedLow: number;
  downloadedLow: number;
  /** When the last of these values came. */
  lowSeconds: number;
  /** The last values of the previous run, and when that run ended; {@link none} without one. */
  previousUploaded: number;
  previousDownloaded: number;
  previousEnd: number;
  /** When the last announce arrived. */
  lastSeconds: number;
  isActive: boolean;
  isSeeder: boolean;
  /** Whether this run was seen with bytes left. */
  wasIncomplete: boolean;
  /** The last {@link Sessions.snapshot} that has the session, or that began before the session was added. */
  snapshot: number;
}

/**
 * The sessions of all users: what each client has been credited with. A client's counters grow from the start of its run, so
 * the difference between two announces is what it has moved between them. The rules keep the sum of all credits at or below
 * what clients have moved, whatever is lost, repeated or reordered on the way:
 *
 * - The first announce of a session credits nothing, and a higher value credits the difference.
 * - A lower value with `started` is a new run, and credits nothing.
 * - Another lower value waits. A value between it and the mark, at least ten seconds later, confirms that the client began anew;
 *   the difference to the lower value is credited. A value at or above the mark shows that the lower value was late or foreign.
 * - Each counter is judged by itself.
 * - The last announce of an ended run may arrive again within ten minutes, and changes nothing.
 *
 * A session is a user, a torrent and a peer id: addresses and the `key` of clients change.
 */
export class Sessions {
  readonly #limits: SessionLimits;
  /** By user, torrent and peer id. Ordered by the time of the last announce. */
  readonly #sessions = new Map<string, Session>();
  /** Until when seeding and downloading of a user and a torrent are counted. */
  readonly #counted = new Map<string, { seedUntil: number; leechUntil: number; sessions: number }>();
  /** Number of snapshots that were begun. */
  #snapshots = 0;
  /** Rows of sessions that have changed before the current snapshot came to them; undefined without one. */
  #changed: SessionRow[] | undefined;
  readonly #addition: Addition = {
    ...{
      uploaded: 0,
      downloaded: 0,
      excessUploaded: 0,
      excessDownloaded: 0,
      seedSeconds: 0,
      leechSeconds: 0,
    },
    ...{ isSnatch: false, isDuplicate: false },
  };

  constructor(limits: SessionLimits) {
    this.#limits = limits;
  }

  /** Number of sessions. */
  get size(): number {
    return this.#sessions.size;
  }

  /**
   * Applies an announce. The announces of one client may come through several workers, and so in another order than they were sent.
   * @returns what the announce adds, valid until the next call
   */
  apply(announce: AccountedAnnounce): Readonly<Addition> {
    const addition = this.#addition;
    addition.uploaded = addition.downloaded = addition.excessUploaded = addition.excessDownloaded = 0;
    addition.seedSeconds = addition.leechSeconds = 0;
    addition.isSnatch = addition.isDuplicate = false;
    const pair = `${announce.user} ${announce.torrent}`;
    const key = `${pair} ${announce.peerId}`;
    const session = this.#sessions.get(key);
    if (session === undefined) {
      this.#add(pair, key, announce);
      return addition;
    }
    if (isDuplicate(session, announce)) {
      addition.isDuplicate = true;
      return addition;
    }
    this.#keepForSnapshot(key, session);
    this.#count(session, announce);
    this.#spend(pair, session, announce);
    const wasIncomplete = session.wasIncomplete;
    const isStopped = announce.event === AnnounceEvent.stopped;
    addition.isSnatch =
      announce.event === AnnounceEvent.completed &&
      announce.left === 0 &&
      wasIncomplete &&
      announce.downloaded > 0;
    if (announce.left > 0) session.wasIncomplete = true;
    else if (addition.isSnatch) session.wasIncomplete = false;
    if (isStopped) endRun(session, announce.seconds);
    session.isActive = !isStopped;
    session.isSeeder = announce.left === 0;
    if (announce.seconds > session.lastSeconds || isSetBack(session.lastSeconds, announce.seconds))
      session.lastSeconds = announce.seconds;
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
    return addition;
  }

  /** Forgets sessions without an announce for the time `idle` of the limits. @param now  seconds since 1970 */
  expire(now: number): void {
    for (const [key, session] of this.#sessions) {
      if (now - session.lastSeconds <= this.#limits.idle) return;
      this.#keepForSnapshot(key, session);
      this.#sessions.delete(key);
      const pair = pairOf(key);
      const counted = this.#counted.get(pair);
      if (counted !== undefined && --counted.sessions === 0) this.#counted.delete(pair);
    }
  }

  /**
   * Lists all sessions as they are now, the least recent first, also if announces are applied while the list is read. A row is valid
   * until the next announce. A further snapshot ends the one before.
   */
  snapshot(): Iterable<SessionRow> {
    this.#snapshots++;
    this.#changed = [];
    return this.#rows(this.#snapshots, this.#changed);
  }

  *#rows(snapshot: number, changed: SessionRow[]): Generator<SessionRow> {
    for (const [key, session] of this.#sessions) {
      // Sessions that have changed or were added since are behind all others.
      if (session.snapshot === snapshot) break;
      session.snapshot = snapshot;
      yield this.#rowOf(key, session);
      yield* changed.splice(0);
    }
    yield* changed.splice(0);
    if (this.#changed === changed) this.#changed = undefined;
  }

  #rowOf(key: string, session: Session): SessionRow {
    const { seedUntil, leechUntil } = this.#counted.get(pairOf(key))!;
    return { key, session, seedUntil, leechUntil };
  }

  /** Copies a session that is about to change, if the current snapshot has not come to it yet. */
  #keepForSnapshot(key: string, session: Session): void {
    if (this.#changed === undefined || session.snapshot === this.#snapshots) return;
    session.snapshot = this.#snapshots;
    this.#changed.push({ ...this.#rowOf(key, session), session: { ...session } });
  }

  /** Adds a session from a checkpoint. Call it with the rows in their order, before the first announce. */
  restore({ key, session, seedUntil, leechUntil }: SessionRow): void {
    session.snapshot = this.#snapshots;
    this.#sessions.set(key, session);
    const counted = this.#countedOf(pairOf(key));
    counted.seedUntil = Math.max(seedUntil, counted.seedUntil);
    counted.leechUntil = Math.max(leechUntil, counted.leechUntil);
    counted.sessions++;
  }

  #add(pair: string, key: string, { seconds, event, uploaded, downloaded, left }: AccountedAnnounce): void {
    const session: Session = {
      ...{ uploadedMark: uploaded, downloadedMark: downloaded, uploadedLow: none, downloadedLow: none },
      lowSeconds: 0,
      ...{ previousUploaded: none, previousDownloaded: none, previousEnd: 0 },
      ...{ lastSeconds: seconds, isActive: true, isSeeder: left === 0, wasIncomplete: left > 0 },
      snapshot: this.#snapshots,
    };
    if (event === AnnounceEvent.stopped) {
      session.isActive = false;
      endRun(session, seconds);
    }
    this.#sessions.set(key, session);
    this.#countedOf(pair).sessions++;
  }

  #countedOf(pair: string): { seedUntil: number; leechUntil: number; sessions: number } {
    let counted = this.#counted.get(pair);
    if (counted === undefined) {
      counted = { seedUntil: 0, leechUntil: 0, sessions: 0 };
      this.#counted.set(pair, counted);
    }
    return counted;
  }

  /** Moves the marks, and credits what lies between them and the new values. */
  #count(session: Session, { seconds, event, uploaded, downloaded }: AccountedAnnounce): void {
    const addition = this.#addition;
    const isStarted = event === AnnounceEvent.started;
    if (isStarted && (uploaded < session.uploadedMark || downloaded < session.downloadedMark)) {
      endRun(session, seconds);
      session.wasIncomplete = false;
    }
    const { maxRate, maxGap } = this.#limits;
    const elapsed = isSetBack(session.lastSeconds, seconds) ? maxGap : seconds - session.lastSeconds;
    const limit = maxRate * Math.max(1, elapsed);
    const isLater = Math.abs(seconds - session.lowSeconds) >= reorderWindow;
    const { uploadedLow, downloadedLow } = session;
    const up = credit(session.uploadedMark, uploadedLow, uploaded, isStarted, isLater);
    session.uploadedLow = credited.low;
    session.uploadedMark = credited.mark;
    if (up > limit) addition.excessUploaded = up;
    else addition.uploaded = up;
    const down = credit(session.downloadedMark, downloadedLow, downloaded, isStarted, isLater);
    session.downloadedLow = credited.low;
    session.downloadedMark = credited.mark;
    const isLow = (low: number, before: number): boolean => low !== none && low !== before;
    if (isLow(session.uploadedLow, uploadedLow) || isLow(session.downloadedLow, downloadedLow))
      session.lowSeconds = seconds;
    if (down > limit) addition.excessDownloaded = down;
    else addition.downloaded = down;
  }

  /** Counts the time since the previous announce of the session, unless another session of the user has counted it. */
  #spend(pair: string, session: Session, { seconds, left }: AccountedAnnounce): void {
    const from = session.lastSeconds;
    if (!session.isActive || seconds <= from || seconds - from > this.#limits.maxGap) return;
    const counted = this.#countedOf(pair);
    if (isSetBack(counted.seedUntil, seconds)) counted.seedUntil = from;
    if (isSetBack(counted.leechUntil, seconds)) counted.leechUntil = from;
    if (session.isSeeder && left === 0) {
      this.#addition.seedSeconds = Math.max(0, seconds - Math.max(from, counted.seedUntil));
      counted.seedUntil = Math.max(seconds, counted.seedUntil);
    } else if (!session.isSeeder) {
      this.#addition.leechSeconds = Math.max(0, seconds - Math.max(from, counted.leechUntil));
      counted.leechUntil = Math.max(seconds, counted.leechUntil);
    }
  }
}

/** A session in a checkpoint. */
export interface SessionRow {
  key: string;
  session: Session;
  seedUntil: number;
  leechUntil: number;
}

/** Returns user and torrent of the key of a session. */
function pairOf(key: string): string {
  return key.slice(0, key.indexOf(" ", key.indexOf(" ") + 1));
}

/** The mark and the pending lower value after {@link credit}. */
const credited = { mark: 0, low: none };

/**
 * Judges one counter. Leaves the new mark and the new lower value in {@link credited}.
 * @param isLater  whether the announce cannot have been overtaken by the one with the lower value
 * @returns the bytes to credit
 */
function credit(mark: number, low: number, value: number, isStarted: boolean, isLater: boolean): number {
  credited.low = none;
  credited.mark = value;
  if (value >= mark) return value - mark;
  if (isStarted) return 0;
  const isNotLower = low !== none && value >= low;
  if (isNotLower && isLater) return value - low;
  credited.low = isNotLower ? low : value;
  credited.mark = mark;
  return 0;
}

function endRun(session: Session, seconds: number): void {
  session.previousUploaded = session.uploadedMark;
  session.previousDownloaded = session.downloadedMark;
  session.previousEnd = seconds;
}

/** Whether an announce is the last one of the previous run again. A run that moved nothing has nothing to protect. */
function isDuplicate(session: Session, { seconds, event, uploaded, downloaded }: AccountedAnnounce): boolean {
  return (
    event !== AnnounceEvent.started &&
    session.previousUploaded === uploaded &&
    session.previousDownloaded === downloaded &&
    uploaded + downloaded > 0 &&
    Math.abs(seconds - session.previousEnd) <= duplicateWindow
  );
}
