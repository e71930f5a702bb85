import { AnnounceEvent } from "../../bittorrent/event.ts";
import { emptyAddition } from "./batch.ts";
import { none, type Run, type Session, SessionTable } from "./session-table.ts";
import {
  type AccountedAnnounce,
  type AccountingRules,
  type Addition,
  beginRun,
  toWords,
} from "./sessions.ts";

/** The lists of a torrent that have a client of a user. Ocelot looks for a client in one list only, so it may be in both. */
interface Lists {
  leecher: Run | undefined;
  seeder: Run | undefined;
}

/**
 * The rules of Ocelot 1.0, to compare the accounts of two trackers. They lose bytes, and count bytes twice:
 *
 * - The first announce of a client, and each `started`, set the counters and credit nothing.
 * - If one counter falls, both are set, and nothing is credited.
 * - Otherwise both differences are credited, at any rate.
 * - `stopped` credits its bytes, and the client is forgotten.
 * - `completed` is a snatch, unless the client is known as a seeder only.
 *
 * No time is counted for seeding or downloading. Source: WhatCD/Ocelot, `worker::announce`.
 *
 * A client is a session, so that either rules read the checkpoint of the other. The run of a client in both lists is the leecher, and
 * the previous run is the seeder.
 */
export class OcelotSessions implements AccountingRules {
  readonly #table = new SessionTable();
  readonly #peersTimeout: number;
  readonly #addition: Addition = emptyAddition();

  /** @param peersTimeout  seconds after which a client that does not announce is forgotten */
  constructor(peersTimeout: number) {
    this.#peersTimeout = peersTimeout;
  }

  get size(): number {
    return this.#table.size;
  }

  apply(
    announce: AccountedAnnounce,
    _now?: number,
    peerId: Int32Array = toWords(announce.peerId),
  ): Readonly<Addition> {
    const addition = this.#addition;
    addition.uploaded = addition.downloaded = 0;
    const { user, torrent, event, left, uploaded, downloaded } = announce;
    const slot = this.#table.find(user, torrent, peerId);
    const lists: Lists =
      slot === 0 ? { leecher: undefined, seeder: undefined } : listsOf(this.#table.read(slot));
    const { leecher, seeder } = lists;
    const isCompleted = event === AnnounceEvent.completed && left === 0;
    const isSnatch = isCompleted && (leecher !== undefined || seeder === undefined);
    const known = isCompleted ? (leecher ?? seeder) : left === 0 ? (seeder ?? leecher) : leecher;
    const isCounted = known !== undefined && event !== AnnounceEvent.started;
    if (isCounted && uploaded >= known.uploaded && downloaded >= known.downloaded) {
      addition.uploaded = uploaded - known.uploaded;
      addition.downloaded = downloaded - known.downloaded;
    }
    const peer = beginRun(announce);
    if (left > 0) lists.leecher = peer;
    else {
      // An older entry among the seeders stays, with its counters, when a leecher completes its download.
      lists.seeder = isSnatch ? (seeder ?? peer) : peer;
      if (isSnatch || known === leecher) lists.leecher = undefined;
    }
    if (event === AnnounceEvent.stopped) {
      if (left > 0) lists.leecher = undefined;
      else lists.seeder = undefined;
    }
    addition.isSnatch = isSnatch;
    this.#keep(slot, lists);
    return addition;
  }

  /** Puts a client behind all others, or forgets one that is in no list. @param slot  0 for a new client */
  #keep(slot: number, lists: Lists): void {
    if (lists.leecher === undefined && lists.seeder === undefined) {
      if (slot !== 0) this.#table.remove(slot);
      return;
    }
    const at = slot === 0 ? this.#table.add() : slot;
    this.#write(at, lists);
    this.#table.moveToEnd(at);
  }

  #write(slot: number, { leecher, seeder }: Lists): void {
    const { session } = this.#table;
    session.run = leecher ?? seeder!;
    session.previous = leecher === undefined ? undefined : seeder;
    session.lastSeconds = Math.max(session.run.seconds, session.previous?.seconds ?? 0);
    session.isActive = true;
    session.isSeeder = leecher === undefined;
    session.wasIncomplete = leecher !== undefined;
    session.isBoth = session.previous !== undefined;
    session.uploadedLow = session.downloadedLow = session.uploadedHigh = session.downloadedHigh = none;
    this.#table.write(slot);
  }

  expire(now: number): void {
    const table = this.#table;
    const isGone = (peer: Run | undefined) => peer !== undefined && peer.seconds + this.#peersTimeout < now;
    // The clients in both lists are those with a rare part.
    for (const slot of table.rare()) {
      const lists = listsOf(table.read(slot));
      const { leecher, seeder } = lists;
      if (isGone(leecher)) lists.leecher = undefined;
      if (isGone(seeder)) lists.seeder = undefined;
      if (lists.leecher === undefined && lists.seeder === undefined) table.remove(slot);
      else if (lists.leecher !== leecher || lists.seeder !== seeder) this.#write(slot, lists);
    }
    for (let slot = table.first, next = 0; slot !== 0; slot = next) {
      next = table.after(slot);
      const { run, isBoth } = table.read(slot);
      if (!isGone(run)) return;
      if (!isBoth) table.remove(slot);
    }
  }

  snapshot(): Iterable<Int32Array> {
    return this.#table.snapshot();
  }

  /** Adds the clients that are active. */
  restore(block: Int32Array): number {
    const table = this.#table;
    const { last } = table;
    const count = table.restore(block);
    for (let slot = table.after(last), next = 0; slot !== 0; slot = next) {
      next = table.after(slot);
      const session = table.read(slot);
      if (!session.isBoth) session.run.seconds = session.lastSeconds;
      if (session.isActive) this.#write(slot, listsOf(session));
      else table.remove(slot);
    }
    return count;
  }
}

function listsOf({ run, previous, isSeeder, isBoth }: Session): Lists {
  return { leecher: isSeeder ? undefined : run, seeder: isSeeder ? run : isBoth ? previous : undefined };
}
