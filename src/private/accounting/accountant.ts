import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../observability/logger.ts";
import { RateLimitedLog } from "../../observability/rate-limited.ts";
import { Directory, type DirectoryMemory } from "../directory.ts";
import type { PrivateOptions } from "../options.ts";
import { Field, Records, recordWords } from "../record.ts";
import type { Ring } from "../ring.ts";
import type { Site, SiteChange } from "../site.ts";
import { Batch, emptyAnnounce, hashedFamily } from "./batch.ts";
import { readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import type { Journal } from "./journal.ts";
import { Sessions } from "./sessions.ts";

/** Maximum number of records in one block of the journal. */
const mostRecords = 8192;
/** Maximum number of records in one transaction of the site. */
const batchRecords = 10_000;
/** Records that a site which is away may leave in memory; beyond them, they are read from the journal again. */
const pendingRecords = 50_000;
/** Seconds between transactions, checkpoints, and looks for peers that have gone. */
const [flushInterval, checkpointInterval, expireInterval] = [3, 300, 60];
/** The longest pause before the site is tried again, in seconds. */
const longestRetry = 30;
const keyFile = "ip-key";

/** Numbers for metrics and readiness. Plain data. */
export interface AccountantState {
  /** Sequence of the last record on disk, and of the last one that the site has. */
  recorded: number;
  applied: number;
  sessions: number;
  users: number;
  torrents: number;
  /** Records of rows that the site does not take, and bytes at rates that no client reaches. */
  quarantined: number;
  excessBytes: number;
  /** Why announces are refused, or traffic is not credited now; undefined if all is well. */
  problem: string | undefined;
}

/** The collaborators of an {@link Accountant}. */
export interface AccountantDeps {
  journal: Journal;
  site: Site;
  rings: readonly Ring[];
  clock: Clock;
  logger: Logger;
  /** Sends a new directory to all workers. */
  publish(memory: DirectoryMemory): void;
}

/**
 * Turns the records of all workers into credits. A record is judged by the rules of {@link Sessions}, written to the journal, and
 * then released to its worker. The site gets sums of records in transactions that note the last record, so that no record counts
 * twice, whatever is lost or restored. {@link drain} may be called while another method waits for the site.
 */
export class Accountant {
  readonly state: AccountantState = {
    ...{ recorded: 0, applied: 0, sessions: 0, users: 0, torrents: 0, quarantined: 0, excessBytes: 0 },
    problem: undefined,
  };
  readonly #options: PrivateOptions;
  readonly #deps: AccountantDeps;
  readonly #sessions: Sessions;
  readonly #block: Records = new Records(new ArrayBuffer(mostRecords * recordWords * 4), 0, mostRecords);
  readonly #announce = emptyAnnounce();
  readonly #log: RateLimitedLog;
  /** How many records of each ring are in the block: judged, but not on disk yet. */
  #taken: number[] | undefined;
  readonly #ipKey: Buffer | undefined;
  /** Undefined before the first load. */
  #directory: Directory | undefined;
  /** The changes that have come while everything is read; undefined otherwise. */
  #late: SiteChange[] | undefined;
  /** Whether a change did not fit into the directory, so that everything must be read again. */
  #isStale = false;
  /** The records after those that the site has or applies now; undefined if they must be read from the journal. */
  #pending: Batch | undefined;
  /** Sequence of the last checkpoint. */
  #checkpointed: number;
  #siteProblem: string | undefined;
  #journalProblem: string | undefined;
  /** When tasks are due, in seconds of the monotonic clock. */
  #flushAt = 0;
  #retry = 0;
  #checkpointAt = 0;
  #expireAt = 0;

  /** Reads the sessions of the journal. {@link open} makes the rest. */
  private constructor(options: PrivateOptions, maxGap: number, deps: AccountantDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#log = new RateLimitedLog(deps.logger, deps.clock);
    const { journal } = deps;
    const { maxRate, idleSessions: idle } = options;
    this.#sessions = new Sessions({ maxRate, maxGap, idle });
    this.#checkpointed = readCheckpoint(journal, this.#sessions);
    if (this.#checkpointed > journal.last)
      throw new Error(`${journal.directory}: the end of the journal is missing; restore it from a backup`);
    for (const { records, count } of journal.read(this.#checkpointed)) {
      for (let i = 0; i < count; i++) this.#sessions.apply(records.readAnnounce(i, this.#announce));
    }
    this.#ipKey = options.storeIps === "hashed" ? readKey(journal) : undefined;
    this.state.recorded = journal.last;
  }

  /**
   * Opens the accounts: reads users and torrents, and continues where the journal ends.
   * @param maxGap  longest time in seconds between two announces that counts as seeding
   * @throws Error if journal and site do not belong together
   */
  static async open(options: PrivateOptions, maxGap: number, deps: AccountantDeps): Promise<Accountant> {
    const accountant = new Accountant(options, maxGap, deps);
    deps.site.open((change) => accountant.#steer(change));
    accountant.state.applied = await accountant.#lastApplied();
    await accountant.#load();
    return accountant;
  }

  /** Returns the last record that the site has. @throws Error if journal and site do not belong together, or the site is away */
  async #lastApplied(): Promise<number> {
    const { journal, site } = this.#deps;
    const applied = await site.lastApplied(journal.instance);
    if (applied === undefined) throw new Error(foreignJournal(journal));
    if (applied > journal.last) throw new Error(oldJournal(journal, applied));
    return applied;
  }

  /**
   * Takes the records that wait, and returns when they are on disk. If the disk does not take them, they stay in their rings, and
   * the next call writes them again; the workers refuse announces while a ring is full.
   * @returns the number of records that are on disk now
   */
  drain(): number {
    const { rings, journal, logger } = this.#deps;
    const block = this.#block;
    this.#taken ??= this.#take();
    const count = this.#taken.reduce((sum, copied) => sum + copied, 0);
    try {
      if (count > 0) journal.write(block, count);
    } catch (error) {
      if (this.#journalProblem === undefined)
        logger.error({ err: error }, "announces cannot be written to the journal");
      this.#setProblems(
        this.#siteProblem,
        `announces cannot be written to the journal: ${(error as Error).message}`,
      );
      return 0;
    }
    if (this.#journalProblem !== undefined) logger.info({}, "announces are written to the journal again");
    this.#setProblems(this.#siteProblem, undefined);
    for (const [index, copied] of this.#taken.entries()) rings[index]!.release(copied);
    this.#taken = undefined;
    this.state.recorded = journal.last;
    this.state.sessions = this.#sessions.size;
    const pending = this.#pending;
    if (pending === undefined) return count;
    for (let i = 0; i < count; i++) pending.add(block, i);
    if (pending.count > pendingRecords) this.#pending = undefined;
    return count;
  }

  /** Copies records into the block, and judges them. @returns how many of each ring */
  #take(): number[] {
    let count = 0;
    const taken = this.#deps.rings.map((ring) => {
      const copied = ring.copy(this.#block, count, mostRecords - count);
      count += copied;
      return copied;
    });
    for (let i = 0; i < count; i++) this.#judge(i);
    return taken;
  }

  #setProblems(site: string | undefined, journal: string | undefined): void {
    this.#siteProblem = site;
    this.#journalProblem = journal;
    this.state.problem = journal ?? site;
  }

  #judge(index: number): void {
    const block = this.#block;
    const announce = block.readAnnounce(index, this.#announce);
    const addition = this.#sessions.apply(announce);
    block.complete(index, addition);
    const excess = addition.excessUploaded + addition.excessDownloaded;
    if (excess > 0) {
      this.state.excessBytes += excess;
      const { user, torrent } = announce;
      const fields = { user, torrent, bytes: excess };
      this.#log.warn("max_rate", fields, "a client claims more than max_rate; not credited");
    }
    this.#hideAddress(index);
  }

  /** Replaces the address of a record by what `store_ips` allows. */
  #hideAddress(index: number): void {
    if (this.#options.storeIps === "plain") return;
    const block = this.#block;
    const address = block.address(index);
    const at = index * recordWords + Field.what;
    const family = this.#ipKey === undefined ? 0 : hashedFamily;
    if (this.#ipKey === undefined) address.fill(0);
    else address.set(createHmac("sha256", this.#ipKey).update(address).digest().subarray(0, 16));
    block.words[at] = (block.words[at]! & ~0xff00) | (family << 8);
  }

  /** Does what is due: transactions, changes of the site, checkpoints. */
  async tick(): Promise<void> {
    const { clock, logger } = this.#deps;
    try {
      if (this.#siteProblem === undefined || clock.seconds >= this.#flushAt) await this.#useSite();
    } catch (error) {
      const problem = `traffic is not credited now, but kept: ${(error as Error).message}`;
      if (this.#siteProblem === undefined) logger.error({ err: error }, problem);
      this.#setProblems(problem, this.#journalProblem);
      this.#pending = undefined;
      this.#retry = Math.min(Math.max(1, 2 * this.#retry), longestRetry);
      this.#flushAt = clock.seconds + this.#retry;
    }
    if (clock.seconds < this.#checkpointAt) return;
    this.#checkpointAt = clock.seconds + checkpointInterval;
    await this.#tryCheckpoint();
  }

  async #useSite(): Promise<void> {
    const { clock, site } = this.#deps;
    await this.#follow();
    if (clock.seconds >= this.#flushAt || (this.#pending?.count ?? 0) >= batchRecords) await this.#flushDue();
    if (clock.seconds < this.#expireAt) return;
    this.#expireAt = clock.seconds + expireInterval;
    const now = clock.unixSeconds;
    this.#sessions.expire(now);
    await site.expirePeers(now - this.#options.peersTimeout, now - this.#options.idleSessions);
  }

  async #tryCheckpoint(): Promise<void> {
    try {
      await this.checkpoint();
    } catch (error) {
      this.#deps.logger.error(
        { err: error },
        "the checkpoint cannot be written; the next start takes longer",
      );
    }
  }

  async #flushDue(): Promise<void> {
    // Without records in memory the journal has them: a site that was away catches up batch by batch.
    const isCaughtUp = await this.flush();
    this.#flushAt = this.#deps.clock.seconds + (isCaughtUp ? flushInterval : 0);
    this.#retry = 0;
    if (this.#siteProblem === undefined) return;
    this.#setProblems(undefined, this.#journalProblem);
    this.#deps.logger.info({}, "traffic is credited again");
  }

  /** Applies one transaction. @returns whether the site has all records now @throws Error if the site is away */
  async flush(): Promise<boolean> {
    const { site, journal, logger } = this.#deps;
    const batch = this.#pending ?? this.#rebuild(await this.#lastApplied());
    this.#pending = batch.to === journal.last ? new Batch(batch.to) : undefined;
    if (batch.count > 0) {
      const result = await site.apply(journal.instance, batch);
      if (!result.isApplied) {
        logger.warn(
          { last: result.last, expected: batch.from },
          "the database has other records; reading them again",
        );
        this.#pending = undefined;
        return false;
      }
      if (result.quarantined > 0)
        logger.warn(
          { rows: result.quarantined },
          'rows were set aside; "chihaya private quarantine" lists them',
        );
      this.state.quarantined += result.quarantined;
    }
    this.state.applied = batch.to;
    return this.#pending !== undefined;
  }

  /** Reads the next records after `applied` from the journal. */
  #rebuild(applied: number): Batch {
    const batch = new Batch(applied);
    for (const { records, count } of this.#deps.journal.read(applied)) {
      for (let i = 0; i < count && batch.count < batchRecords; i++) batch.add(records, i);
      if (batch.count >= batchRecords) break;
    }
    return batch;
  }

  /** Writes the sessions to disk, and removes segments that nobody needs. Does nothing while the sessions are ahead of the journal. */
  async checkpoint(): Promise<void> {
    const { clock, journal } = this.#deps;
    if (journal.last !== this.#checkpointed) {
      const written = await writeCheckpoint(journal, this.#sessions, () => this.#taken === undefined);
      this.#checkpointed = written ?? this.#checkpointed;
    }
    journal.prune(Math.min(this.#checkpointed, this.state.applied), clock.unixSeconds);
  }

  /** Reads everything from the site, and sends it to the workers. */
  async #load(): Promise<void> {
    const { site, logger, publish } = this.#deps;
    const size = await site.size();
    const { users, torrents } = size;
    const directory = Directory.create(size);
    this.#late = [];
    let isFull = false;
    for await (const user of site.users()) isFull ||= !directory.putUser(user);
    for await (const torrent of site.torrents()) isFull ||= !directory.putTorrent(torrent);
    for await (const grant of site.grants?.() ?? []) isFull ||= !directory.putGrant(grant);
    const rules = await site.rules?.();
    if (rules !== undefined)
      isFull ||= !(directory.setGroups(rules.groups) && directory.setClients(rules.clients));
    if (isFull) throw new Error("the site has changed while it was read");
    this.state.users = users;
    this.state.torrents = torrents;
    this.#directory = directory;
    this.#isStale = false;
    const late = this.#late;
    this.#late = undefined;
    for (const change of late) this.#steer(change);
    publish(directory.memory);
    logger.info({ users, torrents }, "users and torrents loaded");
  }

  /** Brings changes of the site into the directory. */
  async #follow(): Promise<void> {
    const { site } = this.#deps;
    if (this.#isStale) await this.#load();
    const change = await site.changes();
    if (change === undefined) return;
    this.#steer(change);
    if (this.#isStale) await this.#load();
    else Object.assign(this.state, await site.size());
  }

  /** Replaces records of the directory. */
  #steer(change: SiteChange): void {
    this.#late?.push(change);
    const directory = this.#directory;
    if (directory !== undefined) this.#isStale ||= !directory.apply(change);
  }

  /** Applies everything that the journal has while `hasTime`, and writes a checkpoint. */
  async close(hasTime: () => boolean): Promise<void> {
    const { journal, site, logger } = this.#deps;
    while (this.drain() > 0);
    try {
      while (!(await this.flush()) && hasTime());
      if (this.state.applied < journal.last)
        logger.warn({ records: journal.last - this.state.applied }, "not credited yet; the journal keeps it");
    } catch (error) {
      logger.warn({ err: error }, "not all traffic is credited; the journal keeps it");
    }
    await this.#tryCheckpoint();
    await site.close();
    journal.close();
  }
}

function foreignJournal({ directory }: Journal): string {
  return (
    `the database has the traffic of another journal than ${directory}; set journal.dir to that one, or, if it is lost, ` +
    'stop all trackers of the site and run "chihaya private adopt"'
  );
}

function oldJournal({ directory, last }: Journal, applied: number): string {
  return (
    `the database has record ${applied}, but the journal in ${directory} ends with ${last}; restore the newer journal, or, if ` +
    'it is lost, run "chihaya private adopt"'
  );
}

function readKey(journal: Journal): Buffer {
  const [known] = journal.readLines(keyFile);
  if (known !== undefined) return Buffer.from(known, "hex");
  const key = randomBytes(32);
  journal.writeFile(keyFile, [key.toString("hex")]);
  return key;
}
