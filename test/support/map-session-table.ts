import { none, type Session, type SessionTable } from "../../src/private/accounting/session-table.ts";

/** A session with its key. */
interface Entry {
  user: number;
  torrent: number;
  peerId: Int32Array;
  session: Session;
}

/** The model of {@link SessionTable}: plain objects in a Map. */
export class MapSessionTable {
  session!: Session;
  /** In the order of the last announces, by a number. */
  readonly entries: Map<number, Entry> = new Map();
  readonly #slots = new Map<string, number>();
  readonly #times = new Map<string, Pick<Session, "seedUntil" | "leechUntil"> & { sessions: number }>();
  #numbers = 0;
  #wanted!: Omit<Entry, "session">;

  /** Returns the model as a table for rules, which call nothing else. */
  get table(): SessionTable {
    return this as unknown as SessionTable;
  }

  get size(): number {
    return this.entries.size;
  }

  get first(): number {
    const [slot = 0] = this.entries.keys();
    return slot;
  }

  find(user: number, torrent: number, peerId: Int32Array): number {
    this.#wanted = { user, torrent, peerId: peerId.slice() };
    return this.#slots.get(keyOf(this.#wanted)) ?? 0;
  }

  add(): number {
    const slot = ++this.#numbers;
    const pair = pairOf(this.#wanted);
    const { sessions, ...times } = this.#times.get(pair) ?? { seedUntil: 0, leechUntil: 0, sessions: 0 };
    this.#times.set(pair, { ...times, sessions: sessions + 1 });
    const run = { firstUploaded: 0, firstDownloaded: 0, firstSeconds: 0, uploaded: 0, downloaded: 0 };
    this.session = {
      ...{ run: { ...run, seconds: 0, end: 0, isWhole: false }, previous: undefined, ...times },
      ...{ uploadedLow: none, downloadedLow: none, lowSeconds: 0, uploadedHigh: none, downloadedHigh: none },
      ...{ lastSeconds: 0, isActive: false, isSeeder: false, wasIncomplete: false, isBoth: false },
    };
    this.entries.set(slot, { ...this.#wanted, session: this.session });
    this.#slots.set(keyOf(this.#wanted), slot);
    return slot;
  }

  read(slot: number): Session {
    const entry = this.entries.get(slot)!;
    const { seedUntil, leechUntil } = this.#times.get(pairOf(entry))!;
    this.session = { ...structuredClone(entry.session), seedUntil, leechUntil };
    return this.session;
  }

  write(slot: number): void {
    const entry = this.entries.get(slot)!;
    entry.session = structuredClone(this.session);
    const { seedUntil, leechUntil } = this.session;
    Object.assign(this.#times.get(pairOf(entry))!, { seedUntil, leechUntil });
  }

  lastSeconds(slot: number): number {
    return this.entries.get(slot)!.session.lastSeconds;
  }

  moveToEnd(slot: number): void {
    const entry = this.entries.get(slot)!;
    this.entries.delete(slot);
    this.entries.set(slot, entry);
  }

  remove(slot: number): void {
    const entry = this.entries.get(slot)!;
    this.entries.delete(slot);
    this.#slots.delete(keyOf(entry));
    const times = this.#times.get(pairOf(entry))!;
    if (--times.sessions === 0) this.#times.delete(pairOf(entry));
  }
}

function pairOf({ user, torrent }: Omit<Entry, "session">): string {
  return `${user} ${torrent}`;
}

function keyOf(entry: Omit<Entry, "session">): string {
  return `${pairOf(entry)} ${entry.peerId}`;
}
