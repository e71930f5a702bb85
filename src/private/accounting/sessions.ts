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

/** What is credited of one run of a client: the counters between two announces. Byte counts are numbers up to 2^53. */
interface Run {
  /** The values and the time from which on the run is credited. */
  firstUploaded: number;
  firstDownloaded: number;
  firstSeconds: number;
  /** The marks: the highest credited values, and when the last of them came. */
  uploaded: number;
  downloaded: number;
  seconds: number;
  /** When the run has ended; 0 if it has not. */
  end: number;
  /** Whether the run began with the first values. Otherwise earlier announces may be on their way from another tracker. */
  isWhole: boolean;
}

/** One client of a user for one torrent. Times are seconds. */
interface Session {
  run: Run;
  previous: Run | undefined;
  /** A value below the mark that waits for confirmation; {@link none} without one. */
  uploadedLow: number;
  downloadedLow: number;
  /** When the last of these values came. */
  lowSeconds: number;
  /** The mark before the last confirmed lower value, until the counter reaches it; {@link none} without one. */
  uploadedHigh: number;
  downloadedHigh: number;
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
 * - A new run that was confirmed in this way may be a second copy of the client. A value at or above the mark of the run before is
 *   taken for the first copy, and credits the difference to that mark.
 * - Each counter is judged by itself.
 * - The last announce of an ended run may arrive again within ten minutes, and changes nothing.
 * - An announce that comes from another tracker after later ones counts for the run in which it was sent: what it has beyond the last
 *   value of that run, or what the first value of a run with an unknown start has beyond it.
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
    ...{ isSnatch: false, isDuplicate: false, isLate: false },
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
    addition.isSnatch = addition.isDuplicate = addition.isLate = false;
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
    const wasIncomplete = session.wasIncomplete;
    if (isLate(session, announce)) {
      addition.isLate = true;
      this.#countLate(session, announce);
    } else {
      this.#count(session, announce);
      this.#spend(pair, session, announce);
    }
    addition.isSnatch =
      announce.event === AnnounceEvent.completed &&
      announce.left === 0 &&
      wasIncomplete &&
      announce.downloaded > 0;
    if (announce.left > 0) session.wasIncomplete = true;
    else if (addition.isSnatch) session.wasIncomplete = false;
    if (addition.isLate) return addition;
    const isStopped = announce.event === AnnounceEvent.stopped;
    if (isStopped) session.run.end = announce.seconds;
    const { lastSeconds } = session;
    if (announce.seconds < lastSeconds && announce.isForwarded) return addition;
    session.isActive = !isStopped;
    session.isSeeder = announce.left === 0;
    if (announce.seconds > lastSeconds || isSetBack(lastSeconds, announce.seconds))
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
   * Lists all sessions as they are now, the least recent first, also if announces are applied while the list is read. A further
   * snapshot ends the one before.
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
    const { run, previous, isActive, isSeeder, wasIncomplete } = session;
    return [
      key,
      ...[seedUntil, leechUntil, session.uploadedLow, session.downloadedLow, session.lowSeconds],
      ...[session.uploadedHigh, session.downloadedHigh],
      ...[session.lastSeconds, +isActive | (+isSeeder << 1) | (+wasIncomplete << 2)],
      ...valuesOf(run),
      ...(previous === undefined ? [] : valuesOf(previous)),
    ];
  }

  /** Saves a session that is about to change, if the current snapshot has not come to it yet. */
  #keepForSnapshot(key: string, session: Session): void {
    if (this.#changed === undefined || session.snapshot === this.#snapshots) return;
    session.snapshot = this.#snapshots;
    this.#changed.push(this.#rowOf(key, session));
  }

  /** Adds a session from a checkpoint. Call it with the rows in their order, before the first announce. */
  restore([key, ...values]: SessionRow): void {
    const [seedUntil = 0, leechUntil = 0, uploadedLow = none, downloadedLow = none, ...more] = values;
    const [lowSeconds = 0, uploadedHigh = none, downloadedHigh = none, lastSeconds = 0, flags = 0] = more;
    this.#sessions.set(key, {
      run: runOf(values.slice(9)),
      previous: values.length > 17 ? runOf(values.slice(17)) : undefined,
      ...{ uploadedLow, downloadedLow, lowSeconds, uploadedHigh, downloadedHigh, lastSeconds },
      ...{ isActive: (flags & 1) !== 0, isSeeder: (flags & 2) !== 0, wasIncomplete: (flags & 4) !== 0 },
      snapshot: this.#snapshots,
    });
    const counted = this.#countedOf(pairOf(key));
    counted.seedUntil = Math.max(seedUntil, counted.seedUntil);
    counted.leechUntil = Math.max(leechUntil, counted.leechUntil);
    counted.sessions++;
  }

  #add(pair: string, key: string, announce: AccountedAnnounce): void {
    const { seconds, event, left } = announce;
    const session: Session = {
      ...{ run: beginRun(announce), previous: undefined },
      ...{ uploadedLow: none, downloadedLow: none, lowSeconds: 0, uploadedHigh: none, downloadedHigh: none },
      ...{ lastSeconds: seconds, isActive: true, isSeeder: left === 0, wasIncomplete: left > 0 },
      snapshot: this.#snapshots,
    };
    if (event === AnnounceEvent.stopped) {
      session.isActive = false;
      session.run.end = seconds;
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
    const isLow = (low: number, before: number): boolean => low !== none && low !== before;
    if (isLow(session.uploadedLow, uploadedLow) || isLow(session.downloadedLow, downloadedLow))
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

/** A session in a checkpoint: its key, and numbers. */
export type SessionRow = readonly [key: string, ...values: number[]];

/** Returns user and torrent of the key of a session. */
function pairOf(key: string): string {
  return key.slice(0, key.indexOf(" ", key.indexOf(" ") + 1));
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

/** Returns a run that begins with an announce. Its true start is unknown if the announce does not say `started`. */
function beginRun({
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

function valuesOf(run: Run): number[] {
  const { firstUploaded, firstDownloaded, firstSeconds, uploaded, downloaded, seconds, end, isWhole } = run;
  return [firstUploaded, firstDownloaded, firstSeconds, uploaded, downloaded, seconds, end, +isWhole];
}

function runOf(values: number[]): Run {
  const [firstUploaded = 0, firstDownloaded = 0, firstSeconds = 0, ...others] = values;
  const [uploaded = 0, downloaded = 0, seconds = 0, end = 0, isWhole = 0] = others;
  const first = { firstUploaded, firstDownloaded, firstSeconds };
  return { ...first, uploaded, downloaded, seconds, end, isWhole: isWhole !== 0 };
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
