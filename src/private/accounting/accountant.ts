import { randomBytes } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../observability/logger.ts";
import { RateLimitedLog } from "../../observability/rate-limited.ts";
import { Directory, type DirectoryMemory } from "../directory.ts";
import { readDirectory, saveDirectory } from "../directory-file.ts";
import type { DirectoryChange } from "../directory-records.ts";
import type { PrivateOptions } from "../options.ts";
import type { Records } from "../record.ts";
import type { RecordSource } from "../ring.ts";
import { type Site, SiteInUseError } from "../site.ts";
import { RecordError } from "../site-records.ts";
import { type AddressPolicy, hideAddress } from "./address-policy.ts";
import { Batch, emptyAnnounce } from "./batch.ts";
import { readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { Intake } from "./intake.ts";
import { type Journal, remedy } from "./journal.ts";
import { OcelotSessions } from "./ocelot-sessions.ts";
import { type AccountingRules, type Addition, Sessions } from "./sessions.ts";

/** Records after which a transaction of the site does not wait for more. */
const batchRecords = 10_000;
/**
 * Maximum number of records in one transaction, and in memory: the records beyond are read from the journal. Transactions grow to this
 * size while the site is behind, because the sums of many records have fewer rows.
 */
const mostRecords = 50_000;
/** Seconds before `peers_timeout` in which a peer that does not announce may be inactive already, as clocks and delays differ. */
const peersSlack = 600;
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
  /** The rings of the workers, and the connections of other trackers. */
  sources: Iterable<RecordSource>;
  clock: Clock;
  logger: Logger;
  /** Sends a new directory to all workers. */
  publish(memory: DirectoryMemory): void;
  /** Called for each change of the directory. */
  onChange?(change: DirectoryChange): void;
}

/**
 * Turns the records of all workers into credits. A record is judged by the rules, written to the journal, and
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
  readonly #sessions: AccountingRules;
  readonly #intake: Intake;
  readonly #announce = emptyAnnounce();
  readonly #log: RateLimitedLog;
  readonly addresses: AddressPolicy;
  /** How far the records of other trackers are judged, by their instance. */
  readonly positions: Map<string, number> = new Map();
  /** Undefined before the first load. */
  #directory: Directory | undefined;
  /** The changes that have come while everything is read; undefined otherwise. */
  #late: DirectoryChange[] | undefined;
  /** Whether everything must be read again, because a change did not fit into the directory, or the site was away. */
  #isStale = false;
  /** Whether the directory has changed since it was saved. */
  #isDirectoryChanged = false;
  /** The records after those that the site has or applies now; undefined if they must be read from the journal. */
  #pending: Batch | undefined;
  /** The records after those that the site applies now, which are read from the journal meanwhile; undefined if none are. */
  #next: Promise<Batch> | undefined;
  /** The ends of batches that may have been applied since the last result; undefined until the site was asked for its last record. */
  #attempts: Set<number> | undefined;
  /** Sequence of the last checkpoint. */
  #checkpointed: number;
  #siteProblem: string | undefined;
  /** When tasks are due, in seconds of the monotonic clock. */
  #flushAt = 0;
  #retry = 0;
  #checkpointAt = 0;
  #expireAt = 0;
  /** Unix time less the monotonic clock, when peers expired last. */
  #clockOffset: number | undefined;

  /** Reads the sessions of the journal. {@link open} makes the rest. */
  private constructor(options: PrivateOptions, maxGap: number, deps: AccountantDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#log = new RateLimitedLog(deps.logger, deps.clock);
    const { journal } = deps;
    const { rules, maxRate, idleSessions: idle, peersTimeout } = options;
    const active = peersTimeout - peersSlack;
    this.#sessions =
      rules === "ocelot" ? new OcelotSessions(peersTimeout) : new Sessions({ maxRate, maxGap, idle, active });
    this.#intake = new Intake({ ...deps, prepare: (block, index) => this.#judge(block, index) });
    this.#checkpointed = readCheckpoint(journal, this.#sessions, this.positions);
    if (this.#checkpointed > journal.last)
      throw new Error(
        `${journal.directory}: the end of the journal is missing; put the newest file back, or, if it is lost, ${remedy}`,
      );
    for (const { records, count } of journal.read(this.#checkpointed)) {
      for (let i = 0; i < count; i++) {
        if (!this.#movePosition(records, i)) this.#apply(records, i);
      }
    }
    const { storeIps } = options;
    this.addresses = { storeIps, key: storeIps === "hashed" ? readKey(journal) : "" };
    this.state.recorded = journal.last;
  }

  /**
   * Opens the accounts: reads users and torrents, and continues where the journal ends.
   * @param maxGap  longest time in seconds between two announces that counts as seeding
   * @throws SiteInUseError if another tracker has the accounts; Error if journal and site do not belong together
   */
  static async open(options: PrivateOptions, maxGap: number, deps: AccountantDeps): Promise<Accountant> {
    const accountant = new Accountant(options, maxGap, deps);
    deps.site.open((change) => accountant.#steer(change));
    try {
      await accountant.#lastApplied();
      await accountant.#load();
    } catch (error) {
      const isFinal = error instanceof JournalError || error instanceof SiteInUseError;
      if (isFinal || !(await accountant.#openWithoutSite(error as Error))) throw error;
    }
    return accountant;
  }

  /** Begins with the users and torrents that the site had. @returns whether they are known */
  async #openWithoutSite(error: Error): Promise<boolean> {
    const { journal, clock, logger, publish } = this.#deps;
    const memory = await readDirectory(journal.directory);
    if (memory === undefined) return false;
    this.#directory = new Directory(memory);
    this.#isStale = true;
    this.state.applied = journal.first - 1;
    publish(memory);
    this.#setSiteProblem(`users and torrents are those of the last checkpoint: ${error.message}`);
    logger.error({ err: error }, this.state.problem!);
    this.#retry = 1;
    this.#flushAt = clock.seconds + this.#retry;
    return true;
  }

  /** Returns the last record that the site has. @throws JournalError if journal and site do not belong together; Error if the site is away */
  async #lastApplied(): Promise<number> {
    const { journal, site } = this.#deps;
    const applied = await site.lastApplied(journal.instance);
    if (applied === undefined) throw new JournalError(foreignJournal(journal));
    if (applied > journal.last) throw new JournalError(oldJournal(journal, applied));
    this.#checkAlone(applied);
    this.state.applied = applied;
    return applied;
  }

  /** @throws JournalError if another tracker has applied records since, because a copy of the journal is in use */
  #checkAlone(applied: number): void {
    const { journal } = this.#deps;
    if (this.#attempts !== undefined && applied > this.state.applied && !this.#attempts.has(applied))
      throw new JournalError(copiedJournal(journal, applied));
    this.#attempts ??= new Set();
  }

  /** Takes the records that wait, as {@link Intake.drain} does. */
  drain(): number {
    const count = this.#intake.drain();
    this.#setSiteProblem(this.#siteProblem);
    if (count === 0) return 0;
    this.state.recorded = this.#deps.journal.last;
    this.state.sessions = this.#sessions.size;
    const pending = this.#pending;
    if (pending === undefined) return count;
    pending.add(this.#intake.block, 0, count);
    if (pending.count > mostRecords) this.#pending = undefined;
    return count;
  }

  /** Whether all records that were judged are on disk. */
  get isWritten(): boolean {
    return this.#intake.isWritten;
  }

  #setSiteProblem(problem: string | undefined): void {
    this.#siteProblem = problem;
    this.state.problem = this.#intake.problem ?? problem;
  }

  #judge(block: Records, index: number): void {
    if (this.#movePosition(block, index)) return;
    const addition = this.#apply(block, index, this.#deps.clock.unixSeconds);
    block.complete(index, addition);
    const excess = addition.excessUploaded + addition.excessDownloaded;
    if (excess > 0) {
      this.state.excessBytes += excess;
      const { user, torrent } = this.#announce;
      const fields = { user, torrent, bytes: excess };
      this.#log.warn("max_rate", fields, "a client claims more than max_rate; not credited");
    }
    if (!this.#announce.isForwarded) hideAddress(this.addresses, block, index);
  }

  #apply(records: Records, index: number, now?: number): Readonly<Addition> {
    const announce = records.readNumbers(index, this.#announce);
    return this.#sessions.apply(announce, now, records.peerId(index));
  }

  /** Notes the position of another tracker. @returns whether the record is one */
  #movePosition(records: Records, index: number): boolean {
    const position = records.readPosition(index);
    if (position !== undefined) this.positions.set(position.instance, position.sequence);
    return position !== undefined;
  }

  /** Does what is due: transactions, changes of the site, and then a checkpoint. */
  async tick(): Promise<void> {
    await this.tickSite();
    await this.tickCheckpoint();
  }

  /** Does what is due of transactions and changes of the site. */
  async tickSite(): Promise<void> {
    const { clock, logger } = this.#deps;
    try {
      if (this.#siteProblem === undefined || clock.seconds >= this.#flushAt) await this.#useSite();
    } catch (error) {
      const problem = `traffic is not credited now, but kept: ${(error as Error).message}`;
      if (this.#siteProblem === undefined) logger.error({ err: error }, problem);
      this.#setSiteProblem(problem);
      this.#pending = this.#next = undefined;
      this.#retry = Math.min(Math.max(1, 2 * this.#retry), longestRetry);
      this.#flushAt = clock.seconds + this.#retry;
    }
  }

  /** Writes a checkpoint if one is due. {@link tickSite} may be called meanwhile: a checkpoint of a million clients takes many seconds. */
  async tickCheckpoint(): Promise<void> {
    const { clock } = this.#deps;
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
    if (this.#isClockSet()) return;
    this.#sessions.expire(now);
    // A site that is behind does not know yet which peers have announced.
    if (this.#pending === undefined) return;
    await site.expirePeers(now - this.#options.peersTimeout, now - this.#options.idleSessions);
  }

  /** Whether the clock was set. Nothing expires then until all clients had the time to announce by the new clock. */
  #isClockSet(): boolean {
    const { clock, logger } = this.#deps;
    const offset = clock.unixSeconds - clock.seconds;
    const change = offset - (this.#clockOffset ?? offset);
    this.#clockOffset = offset;
    if (Math.abs(change) < expireInterval) return false;
    this.#expireAt = clock.seconds + this.#options.peersTimeout;
    logger.warn({ seconds: change }, "the clock of the machine was set; no peer expires for peers_timeout");
    return true;
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
    this.#setSiteProblem(undefined);
    this.#deps.logger.info({}, "traffic is credited again");
  }

  /** Applies one transaction. @returns whether the site has all records now @throws Error if the site is away */
  async flush(): Promise<boolean> {
    const { site, journal, logger } = this.#deps;
    if (site.acknowledge !== undefined) return true; // the site fetches it
    const batch = this.#pending ?? (await (this.#next ?? this.#rebuild(await this.#lastApplied())));
    const isLast = batch.to === journal.last;
    this.#pending = isLast ? new Batch(batch.to) : undefined;
    this.#next = isLast ? undefined : this.#rebuild(batch.to);
    this.#next?.catch(() => undefined); // the next call throws it
    if (batch.count > 0) {
      this.#attempts?.add(batch.to);
      const result = await site.apply(journal.instance, batch);
      if (!result.isApplied) {
        this.#checkAlone(result.last);
        logger.warn(
          { last: result.last, expected: batch.from },
          "the database has other records; reading them again",
        );
        this.#pending = this.#next = undefined;
        return false;
      }
      if (result.quarantined > 0)
        logger.warn(
          { rows: result.quarantined },
          'rows were set aside; "chihaya private quarantine" lists them',
        );
      this.state.quarantined += result.quarantined;
    }
    this.#attempts?.clear();
    this.state.applied = batch.to;
    return this.#pending !== undefined;
  }

  /** Reads the next records after `applied` from the journal, block by block, so that {@link drain} is called meanwhile. */
  async #rebuild(applied: number): Promise<Batch> {
    const batch = new Batch(applied);
    for (const { records, count } of this.#deps.journal.read(applied)) {
      if (batch.count > 0) await nextTurn();
      batch.add(records, 0, Math.min(count, mostRecords - batch.count));
      if (batch.count >= mostRecords) break;
    }
    batch.sum();
    return batch;
  }

  /**
   * Returns records after `after` for a site that fetches them.
   * @param after  the last record that the site has
   * @throws RecordError if the journal does not have these records
   */
  async offer(after: number): Promise<Batch> {
    const { site, journal } = this.#deps;
    if (after > journal.last || after + 1 < journal.first)
      throw new RecordError(
        `the journal has the records ${journal.first} to ${journal.last}, not those after ${after}`,
      );
    await site.acknowledge!(journal.instance, after);
    this.state.applied = after;
    return await this.#rebuild(after);
  }

  /** Writes the sessions and the directory to disk, and removes segments that nobody needs. Does nothing while the sessions are ahead of the journal. */
  async checkpoint(): Promise<void> {
    const { clock, journal } = this.#deps;
    if (journal.last !== this.#checkpointed) {
      const written = await writeCheckpoint(
        ...[journal, this.#sessions, this.positions],
        () => this.isWritten,
      );
      this.#checkpointed = written ?? this.#checkpointed;
    }
    if (this.#isDirectoryChanged && !this.#isStale) {
      this.#isDirectoryChanged = false;
      await saveDirectory(journal.directory, this.#directory!.memory);
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
    this.#isDirectoryChanged = true;
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
  #steer(change: DirectoryChange): void {
    this.#late?.push(change);
    this.#isDirectoryChanged = true;
    this.#deps.onChange?.(change);
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
    await this.#next?.catch(() => undefined);
    await this.#tryCheckpoint();
    await site.close();
    journal.close();
  }
}

/** Journal and site do not belong together. */
class JournalError extends Error {}

function foreignJournal({ directory }: Journal): string {
  return (
    `the database has the traffic of another journal than ${directory}; set journal.dir to that one, or, if it is lost, ` +
    'stop all trackers of the site and run "chihaya private adopt"'
  );
}

function copiedJournal({ directory }: Journal, applied: number): string {
  return (
    `another tracker has applied record ${applied} with a copy of the journal in ${directory}; stop that tracker, and this one, ` +
    'and run "chihaya private adopt"'
  );
}

function oldJournal({ directory, last }: Journal, applied: number): string {
  return (
    `the database has record ${applied}, but the journal in ${directory} ends with ${last}; restore the newer journal, or, if ` +
    'it is lost, run "chihaya private adopt"'
  );
}

function readKey(journal: Journal): string {
  const [known] = journal.readLines(keyFile);
  if (known !== undefined) return known;
  const key = randomBytes(32).toString("hex");
  journal.writeFile(keyFile, [key]);
  return key;
}
