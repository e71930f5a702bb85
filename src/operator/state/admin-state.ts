import { parseInfoHash, toHex } from "../../bittorrent/info-hash.ts";
import { Address } from "../../ip/address.ts";
import { parseNetwork, readNetwork } from "../../ip/networks.ts";
import type { Clock } from "../../lib/clock.ts";
import { lastTime } from "../../lib/time.ts";
import { maxEdits } from "../../middleware/access-list/list-edits.ts";
import { type BanMemory, maxBans } from "../../middleware/bans/ban-memory.ts";
import type { Logger } from "../../observability/logger.ts";
import type { Metrics } from "../../observability/metrics.ts";
import { ListEdits } from "../lists/list-edits.ts";
import { type Ban, type BanEntry, BanList, writeNetworks, writeTorrents } from "./ban-list.ts";
import { StateFile, type StateRecord } from "./state-file.ts";

/** Milliseconds between two checks for bans that have ended. */
const checkMs = 1000;
/** Seconds between two attempts to write the file. */
const retryPeriod = 60;

export interface AdminStateDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly memory: BanMemory;
}

/**
 * What operators have changed with the admin API, and the configuration does not say: bans, and edits of access lists. Kept
 * in `admin.state`, or only in memory.
 *
 * A change takes effect before it is written, and also if the file cannot be written: the log says so, and the file is tried
 * again every minute and at the end.
 */
export class AdminState {
  readonly networks: BanList;
  readonly torrents: BanList;
  /** Entries that were added to lists of access hooks, or removed from them. */
  readonly edits: ListEdits = new ListEdits();
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #file: StateFile | undefined;
  #isUnsaved = false;
  #retryAt = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param path  of the file; empty to keep nothing */
  constructor(path: string, { clock, logger, metrics, memory }: AdminStateDeps) {
    this.#clock = clock;
    this.#logger = logger;
    this.networks = new BanList(memory.networks, writeNetworks, clock);
    this.torrents = new BanList(memory.torrents, writeTorrents, clock);
    const help = "Bans by the admin API, by kind";
    metrics.gauge("chihaya_admin_bans", help, () => this.networks.size, { kind: "network" });
    metrics.gauge("chihaya_admin_bans", help, () => this.torrents.size, { kind: "torrent" });
    this.#file =
      path === ""
        ? undefined
        : new StateFile(
            path,
            () => this.#records(),
            (file) => logger.warn({ file }, "admin.state had gone; the tracker has written it again"),
          );
  }

  /** Loads the file and hands the bans to the workers. @throws Error with a text for operators */
  async start(): Promise<void> {
    await this.#file?.read((record) => this.#take(record));
    for (const list of [this.networks, this.torrents]) if (list.size > 0) await list.apply();
    this.#watch();
  }

  /** Stops the timer and finishes writing. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#isUnsaved) await this.#save();
    await this.#file?.idle();
  }

  /** Makes a change effective in all workers, and keeps it. @returns whether it outlives the process */
  async commit(changed: Pick<BanList, "apply">): Promise<boolean> {
    await changed.apply();
    const isKept = await this.#save();
    this.#watch();
    return isKept;
  }

  /** Removes bans that have ended, and tries an unwritable file again. The timer calls this. */
  async check(): Promise<void> {
    for (const list of [this.networks, this.torrents]) await list.expire();
    if (this.edits.waitsForFiles) await this.edits.settle();
    if (this.#isUnsaved && this.#clock.seconds >= this.#retryAt) await this.#save();
    this.#watch();
  }

  async #save(): Promise<boolean> {
    if (this.#file === undefined) return false;
    try {
      await this.#file.save();
      if (this.#isUnsaved) this.#logger.info({ file: this.#file.name }, "admin.state is written again");
      this.#isUnsaved = false;
      return true;
    } catch (error) {
      const what =
        "admin.state not written; the changes are in effect, and will be lost at the end of the process";
      if (!this.#isUnsaved)
        this.#logger.error({ file: this.#file.name }, `${what}: ${(error as Error).message}`);
      this.#isUnsaved = true;
      this.#retryAt = this.#clock.seconds + retryPeriod;
      return false;
    }
  }

  /** Runs the timer only while there is something to wait for, so that an idle process sleeps. */
  #watch(): void {
    const waits =
      this.#isUnsaved ||
      this.edits.waitsForFiles ||
      Math.min(this.networks.nextExpiry, this.torrents.nextExpiry) < Number.POSITIVE_INFINITY;
    if (waits === (this.#timer !== undefined)) return;
    clearInterval(this.#timer);
    this.#timer = waits ? setInterval(() => void this.check(), checkMs).unref() : undefined;
  }

  *#records(): Iterable<StateRecord> {
    for (const entry of this.networks.values()) yield { network: entry.target, ...describe(entry) };
    for (const entry of this.torrents.values()) yield { info_hash: entry.target, ...describe(entry) };
    for (const { list, entry, edit } of this.edits.values()) {
      const { isListed: listed, since, by } = edit;
      yield { list, entry, listed, since, by };
    }
  }

  /** Takes a record of the file. @returns its problem */
  #take(record: StateRecord): string | undefined {
    const { network, info_hash, list, entry, listed } = record;
    if (list !== undefined) {
      if (typeof list !== "string" || typeof entry !== "string" || typeof listed !== "boolean")
        return "an edit of a list needs the texts list and entry, and listed";
      if (!this.edits.hasRoom(list, 1)) return `more than ${maxEdits} edits of one list`;
      const by = typeof record["by"] === "string" ? record["by"] : "";
      const since = isTime(record["since"]) ? record["since"] : 0;
      this.edits.set(list, entry, { isListed: listed, since, by, isInFile: false });
      return undefined;
    }
    const ban = readBan(record);
    if (typeof ban === "string") return ban;
    if (typeof network === "string") {
      const target = canonicalNetwork(network);
      return "problem" in target ? target.problem : this.#load(this.networks, target.network, ban);
    }
    const bytes = typeof info_hash === "string" ? parseInfoHash(info_hash) : undefined;
    return bytes === undefined
      ? "neither a network nor an infohash"
      : this.#load(this.torrents, toHex(bytes), ban);
  }

  #load(list: BanList, target: string, ban: Ban): string | undefined {
    if (ban.until !== undefined && ban.until <= this.#clock.unixSeconds) return undefined;
    if (list.isFull) return `more than ${maxBans} bans of one kind`;
    list.set(target, ban);
    return undefined;
  }
}

/** Returns the only spelling of a network: `192.0.2.0/24`, with the prefix also for one address. */
export function canonicalNetwork(text: string): { network: string } | { problem: string } {
  const bytes = Buffer.from(text);
  const address = new Address();
  const simple = readNetwork(bytes, 0, bytes.length, address);
  if (simple >= 0) return { network: `${address}/${simple}` };
  try {
    const { address, prefix } = parseNetwork(text);
    return { network: `${address}/${prefix}` };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

function describe({ until, reason, since, by }: BanEntry): StateRecord {
  return { ...(until !== undefined && { until }), reason, since, by };
}

/** @returns the ban, or the problem of the record */
function readBan({ until, reason = "", since = 0, by = "" }: StateRecord): Ban | string {
  if (typeof reason !== "string" || typeof by !== "string") return "the reason and the name must be texts";
  if (!isTime(since) || !(until === undefined || isTime(until)))
    return '"since" and "until" must be seconds since 1970';
  return { until, reason, by, since };
}

/** Returns whether a value is a time in seconds since 1970 until {@link lastTime}. */
function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= lastTime;
}
