import { AnnounceEvent } from "../../bittorrent/event.ts";
import { none, type Run, type Session, SessionTable } from "./session-table.ts";

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
  /** Whether the announce comes from another tracker, and so may arrive hours after later announces of the client. */
  isForwarded: boolean;
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
  /** Whether a later announce of the client was applied before. */
  isLate: boolean;
  /**
   * Whether the peer is what the announce before has left: active, and a seeder or not. Its torrent then needs no recount. False now
   * and then, so that wrong counts do not stay.
   */
  isRoutine: boolean;
}

/** What the announces of each client add. */
export interface AccountingRules {
  /** Number of sessions. */
  readonly size: number;
  /**
   * Applies an announce that arrives at `now`, by default at once.
   * @param peerId  five words; by default those of the announce
   * @returns what the announce adds, valid until the next call
   */
  apply(announce: AccountedAnnounce, now?: number, peerId?: Int32Array): Readonly<Addition>;
  /** Forgets sessions whose client has gone. @param now  seconds since 1970 */
  expire(now: number): void;
  /** Lists all sessions as they are now, as {@link SessionTable.snapshot} does. */
  snapshot(): Iterable<Int32Array>;
  /** Adds sessions from a checkpoint. Call it with the blocks in their order, before the first announce. @returns their number */
  restore(block: Int32Array): number;
}

/** Bounds of the rules. */
export interface SessionLimits {
  /** Bytes per second; an announce that claims more is credited with nothing. */
  maxRate: number;
  /** Longest time in seconds between two announces that counts as seeding or downloading. */
  maxGap: number;
  /** Seconds after the last announce for which a session is kept. */
  idle: number;
  /** Seconds after the last announce for which the site certainly has the peer as active; 0 by default. */
  active?: number;
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

/** Seconds after which the peers of a torrent are counted anew even if none of them has changed. */
const recountSeconds = 4 * 3600;

/** Seconds for which a record may be on its way from another tracker, if its announce shall be routine. */
const routineDelay = 600;

/** Seconds after the end of a run in which its last announce may arrive again, from the client's other address. */
const duplicateWindow = 600;

/**
 * The sessions of all users: what each client has been credited with. A client's counters grow from the start of its run, so
 * the difference between two announces is what it has moved between them. The rules keep the sum of all credits at or below
 * what clients have moved, whatever is lost, repeated or reordered on the way:
 *
 * - The first announce of a session credits nothing, and a higher value credits the difference.
 * - A lower value with `started` is a new run, and credits nothing.
 * - Another lower value waits. A value between it and the mark, at least ten seconds later, confirms that the client began anew;
 *   the difference to the lower value is credited. A value at or above the mark shows that the lower value was late or foreign.
 * - A new run that was confirmed in this way may be a second copy of the client. A value at or above the mark of the run before is
 *   taken for the first copy, and credits the difference to that mark.
 * - Each counter is judged by itself.
 * - The last announce of an ended run may arrive again within ten minutes, and changes nothing.
 * - An announce that comes from another tracker after later ones counts for the run in which it was sent: what it has beyond the last
 *   value of that run, or what the first value of a run with an unknown start has beyond it.
 *
 * A session is a user, a torrent and a peer id: addresses and the `key` of clients change.
 */
export class Sessions implements AccountingRules {
  readonly #limits: SessionLimits;
  readonly #table: SessionTable;
  readonly #addition: Addition = {
    ...{
      uploaded: 0,
      downloaded: 0,
      excessUploaded: 0,
      excessDownloaded: 0,
      seedSeconds: 0,
      leechSeconds: 0,
    },
    ...{ isSnatch: false, isDuplicate: false, isLate: false, isRoutine: false },
  };

  constructor(limits: SessionLimits, table: SessionTable = new SessionTable()) {
    this.#limits = limits;
    this.#table = table;
  }

  /** Number of sessions. */
  get size(): number {
    return this.#table.size;
  }

  /**
   * Applies an announce. The announces of one client may come through several workers, and so in another order than they were sent.
   * @param now     when the announce has arrived
   * @param peerId  five words
   * @returns what the announce adds, valid until the next call
   */
  apply(
    announce: AccountedAnnounce,
    now: number = announce.seconds,
    peerId: Int32Array = toWords(announce.peerId),
  ): Readonly<Addition> {
    const addition = this.#addition;
    addition.uploaded = addition.downloaded = addition.excessUploaded = addition.excessDownloaded = 0;
    addition.seedSeconds = addition.leechSeconds = 0;
    addition.isSnatch = addition.isDuplicate = addition.isLate = addition.isRoutine = false;
    const table = this.#table;
    const slot = table.find(announce.user, announce.torrent, peerId);
    if (slot === 0) {
      this.#add(announce);
      return addition;
    }
    const session = table.read(slot);
    addition.isDuplicate = isDuplicate(session, announce);
    if (addition.isDuplicate) return addition;
    this.#judge(session, announce, now);
    table.write(slot);
    if (!addition.isLate) table.moveToEnd(slot);
    return addition;
  }

  #judge(session: Session, announce: AccountedAnnounce, now: number): void {
    const addition = this.#addition;
    const { seconds, event, left, downloaded, isForwarded } = announce;
    const { wasIncomplete } = session;
    session.isBoth = false;
    addition.isLate = isLate(session, announce);
    if (addition.isLate) this.#countLate(session, announce);
    else {
      this.#count(session, announce);
      this.#spend(session, announce);
    }
    addition.isSnatch = event === AnnounceEvent.completed && left === 0 && wasIncomplete && downloaded > 0;
    if (left > 0) session.wasIncomplete = true;
    else if (addition.isSnatch) session.wasIncomplete = false;
    if (addition.isLate) return;
    const isStopped = event === AnnounceEvent.stopped;
    if (isStopped) session.run.end = seconds;
    const { lastSeconds } = session;
    addition.isLate = seconds < lastSeconds && isForwarded;
    if (addition.isLate) return;
    addition.isRoutine = !isStopped && now - seconds < routineDelay && this.#isRoutine(session, announce);
    session.isActive = !isStopped;
    session.isSeeder = left === 0;
    if (seconds > lastSeconds || isSetBack(lastSeconds, seconds)) session.lastSeconds = seconds;
  }

  /** Forgets sessions without an announce for the time `idle` of the limits. @param now  seconds since 1970 */
  expire(now: number): void {
    const table = this.#table;
    for (let slot = table.first; slot !== 0; slot = table.first) {
      if (now - table.lastSeconds(slot) <= this.#limits.idle) return;
      table.remove(slot);
    }
  }

  snapshot(): Iterable<Int32Array> {
    return this.#table.snapshot();
  }

  restore(block: Int32Array): number {
    return this.#table.restore(block);
  }

  /** Adds the session that was not found. */
  #add(announce: AccountedAnnounce): void {
    const { seconds, event, left } = announce;
    const isStopped = event === AnnounceEvent.stopped;
    const slot = this.#table.add();
    const { session } = this.#table;
    session.run = beginRun(announce);
    if (isStopped) session.run.end = seconds;
    session.lastSeconds = seconds;
    session.isActive = !isStopped;
    session.isSeeder = left === 0;
    session.wasIncomplete = left > 0;
    this.#table.write(slot);
  }

  /** Moves the marks, and credits what lies between them and the new values. */
  #count(session: Session, announce: AccountedAnnounce): void {
    const { seconds, event, uploaded, downloaded } = announce;
    const { maxRate, maxGap } = this.#limits;
    const elapsed = isSetBack(session.lastSeconds, seconds) ? maxGap : seconds - session.lastSeconds;
    const isStarted = event === AnnounceEvent.started;
    const { uploadedLow, downloadedLow, uploadedHigh, downloadedHigh, run } = session;
    const isLater = Math.abs(seconds - session.lowSeconds) >= reorderWindow;
    const up = credit(run.uploaded, uploadedLow, uploadedHigh, uploaded, isStarted, isLater);
    session.uploadedLow = credited.low;
    session.uploadedHigh = credited.high;
    const uploadedMark = credited.mark;
    const down = credit(run.downloaded, downloadedLow, downloadedHigh, downloaded, isStarted, isLater);
    session.downloadedLow = credited.low;
    session.downloadedHigh = credited.high;
    const downloadedMark = credited.mark;
    if (isNewLow(session.uploadedLow, uploadedLow) || isNewLow(session.downloadedLow, downloadedLow))
      session.lowSeconds = seconds;
    if (isStarted && (uploaded < run.uploaded || downloaded < run.downloaded)) {
      run.end ||= session.lastSeconds;
      session.previous = run;
      session.run = beginRun(announce);
      session.wasIncomplete = false;
    } else if (uploadedMark < run.uploaded) {
      // The client has begun anew without saying so.
      const lowest = Math.min(downloaded, downloadedLow === none ? run.downloaded : downloadedLow);
      run.end ||= run.seconds;
      session.previous = run;
      session.run = beginRun({
        seconds: session.lowSeconds,
        event,
        uploaded: uploadedLow,
        downloaded: lowest,
      });
    }
    session.run.uploaded = uploadedMark;
    session.run.downloaded = downloadedMark;
    if (uploadedMark === uploaded) session.run.seconds = seconds;
    this.#credit(up, down, maxRate * Math.max(1, elapsed));
  }

  /** Credits bytes up to a limit for each counter. */
  #credit(uploaded: number, downloaded: number, limit: number): void {
    const addition = this.#addition;
    if (uploaded > limit) addition.excessUploaded = uploaded;
    else addition.uploaded = uploaded;
    if (downloaded > limit) addition.excessDownloaded = downloaded;
    else addition.downloaded = downloaded;
  }

  /** Counts an announce that arrives after later ones of the client, for the run in which it was sent. */
  #countLate(session: Session, announce: AccountedAnnounce): void {
    const { seconds, event, uploaded, downloaded } = announce;
    const { run, previous } = session;
    const isOfRun = seconds >= run.firstSeconds || isBeforeFirst(run, announce);
    const isNext =
      event === AnnounceEvent.started &&
      previous !== undefined &&
      (uploaded < previous.uploaded || downloaded < previous.downloaded) &&
      seconds > previous.seconds;
    if (isOfRun && !isOvertakenStop(session, announce)) this.#countIn(run, announce);
    else if (previous === undefined || isNext) session.previous = beginRun(announce);
    else this.#countIn(previous, announce);
  }

  /** Credits what an announce has beyond the last value of its run, or before the first one. */
  #countIn(run: Run, announce: AccountedAnnounce): void {
    const { seconds, event, uploaded, downloaded } = announce;
    const limit = this.#limits.maxRate * this.#limits.maxGap;
    if (isBeforeFirst(run, announce)) {
      this.#credit(run.firstUploaded - uploaded, run.firstDownloaded - downloaded, limit);
      run.firstUploaded = uploaded;
      run.firstDownloaded = downloaded;
      run.firstSeconds = seconds;
      run.isWhole = event === AnnounceEvent.started;
    } else if (seconds >= run.firstSeconds) {
      const up = Math.max(0, uploaded - run.uploaded);
      const down = Math.max(0, downloaded - run.downloaded);
      run.uploaded += up;
      run.downloaded += down;
      run.seconds = Math.max(seconds, run.seconds);
      this.#credit(up, down, limit);
    }
  }

  /** Whether an announce leaves the peer of a session as it is, and the peers of its torrent need no recount for another reason. */
  #isRoutine(session: Session, { seconds, torrent, left }: AccountedAnnounce): boolean {
    const { isActive, isSeeder, lastSeconds } = session;
    const gap = seconds - lastSeconds;
    if (!isActive || isSeeder !== (left === 0) || gap < 0 || gap > (this.#limits.active ?? 0)) return false;
    return turnOf(torrent, seconds) === turnOf(torrent, lastSeconds);
  }

  /** Counts the time since the previous announce of the session, unless another session of the user has counted it. */
  #spend(session: Session, { seconds, left }: AccountedAnnounce): void {
    const from = session.lastSeconds;
    if (!session.isActive || seconds <= from || seconds - from > this.#limits.maxGap) return;
    if (isSetBack(session.seedUntil, seconds)) session.seedUntil = from;
    if (isSetBack(session.leechUntil, seconds)) session.leechUntil = from;
    if (session.isSeeder && left === 0) {
      this.#addition.seedSeconds = Math.max(0, seconds - Math.max(from, session.seedUntil));
      session.seedUntil = Math.max(seconds, session.seedUntil);
    } else if (!session.isSeeder) {
      this.#addition.leechSeconds = Math.max(0, seconds - Math.max(from, session.leechUntil));
      session.leechUntil = Math.max(seconds, session.leechUntil);
    }
  }
}

/** Returns the words of a peer id. */
export function toWords(peerId: string): Int32Array {
  return new Int32Array(new Uint8Array(Buffer.from(peerId, "latin1")).buffer);
}

/** Numbers the times for which the peers of a torrent are not counted anew. The turns of torrents are spread evenly. */
function turnOf(torrent: number, seconds: number): number {
  return Math.floor((seconds + (Math.imul(torrent, 2654435761) >>> 0)) / recountSeconds);
}

/** The mark, the pending lower value and the mark before after {@link credit}. */
const credited = { mark: 0, low: none, high: none };

/**
 * Judges one counter. Leaves its new state in {@link credited}.
 * @param isLater  whether the announce cannot have been overtaken by the one with the lower value
 * @returns the bytes to credit
 */
function credit(
  mark: number,
  low: number,
  high: number,
  value: number,
  isStarted: boolean,
  isLater: boolean,
): number {
  credited.low = credited.high = none;
  credited.mark = value;
  if (value >= mark) {
    // Beyond the mark before a new run, this is the older of two copies of a client.
    if (high !== none && value >= high) return value - high;
    credited.high = high;
    return value - mark;
  }
  if (isStarted) return 0;
  const isNotLower = low !== none && value >= low;
  if (isNotLower && isLater) {
    credited.high = Math.max(high, mark);
    return value - low;
  }
  credited.low = isNotLower ? low : value;
  credited.mark = mark;
  credited.high = high;
  return 0;
}

function isNewLow(low: number, before: number): boolean {
  return low !== none && low !== before;
}

/** Returns a run that begins with an announce. Its true start is unknown if the announce does not say `started`. */
export function beginRun({
  seconds,
  event,
  uploaded,
  downloaded,
}: Pick<AccountedAnnounce, "seconds" | "event" | "uploaded" | "downloaded">): Run {
  return {
    ...{ firstUploaded: uploaded, firstDownloaded: downloaded, firstSeconds: seconds },
    ...{ uploaded, downloaded, seconds, end: 0, isWhole: event === AnnounceEvent.started },
  };
}

/** Whether an announce arrives after later ones of the client. */
function isLate(session: Session, announce: AccountedAnnounce): boolean {
  if (isOvertakenStop(session, announce)) return true;
  if (!announce.isForwarded) return false;
  if (isBeforeFirst(session.run, announce)) return true;
  return announce.seconds < session.run.seconds && !mayBeOfFirstRun(session, announce);
}

/**
 * Whether an announce that looks older than the only known run may be of that run, because the clocks of two trackers differ.
 * Counted for a run of its own, the bytes of the announce would count twice.
 */
function mayBeOfFirstRun({ run, previous }: Session, announce: AccountedAnnounce): boolean {
  const { seconds } = announce;
  const isJustBefore = seconds < run.firstSeconds && seconds > run.firstSeconds - reorderWindow;
  return previous === undefined && isJustBefore;
}

/** Whether an announce ends the previous run, although the next one has begun a moment ago. */
function isOvertakenStop({ run, previous }: Session, announce: AccountedAnnounce): boolean {
  const { seconds, event, uploaded, downloaded } = announce;
  return (
    event === AnnounceEvent.stopped &&
    run.isWhole &&
    previous !== undefined &&
    Math.abs(seconds - run.firstSeconds) < reorderWindow &&
    uploaded >= previous.uploaded &&
    downloaded >= previous.downloaded &&
    uploaded + downloaded > run.uploaded + run.downloaded
  );
}

/**
 * Whether an announce from another tracker is before the first known one of a run whose start is unknown. The clocks of two trackers
 * differ, so the start may look later than what followed it.
 */
function isBeforeFirst(run: Run, { seconds, event, uploaded, downloaded }: AccountedAnnounce): boolean {
  return (
    !run.isWhole &&
    seconds < run.firstSeconds + (event === AnnounceEvent.started ? reorderWindow : 0) &&
    uploaded <= run.firstUploaded &&
    downloaded <= run.firstDownloaded
  );
}

/** Whether an announce is the last one of an ended run again. A run that moved nothing has nothing to protect. */
function isDuplicate({ run, previous }: Session, announce: AccountedAnnounce): boolean {
  return announce.event !== AnnounceEvent.started && (isEndOf(run, announce) || isEndOf(previous, announce));
}

function isEndOf(run: Run | undefined, { seconds, uploaded, downloaded }: AccountedAnnounce): boolean {
  return (
    run !== undefined &&
    run.end > 0 &&
    run.uploaded === uploaded &&
    run.downloaded === downloaded &&
    uploaded + downloaded > 0 &&
    Math.abs(seconds - run.end) <= duplicateWindow
  );
}
