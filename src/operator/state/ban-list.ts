import { parseInfoHash } from "../../bittorrent/info-hash.ts";
import { Address } from "../../ip/address.ts";
import { readNetwork } from "../../ip/networks.ts";
import { PrefixMapBuilder } from "../../ip/prefix-map.ts";
import type { Clock } from "../../lib/clock.ts";
import type { DoubleBuffer } from "../../lib/double-buffer.ts";
import { HashSet } from "../../lib/hash-set.ts";
import { Pace } from "../../lib/pace.ts";
import { SharedRun } from "../../lib/shared-run.ts";
import { maxBans, torrentWidth } from "../../middleware/bans/ban-memory.ts";

/** A ban of one network or torrent. */
export interface Ban {
  /** When the ban ends, in seconds since 1970; undefined if it does not. */
  readonly until: number | undefined;
  /** Why, for operators. */
  readonly reason: string;
  /** When the ban was made, in seconds since 1970. */
  readonly since: number;
  /** The name of the token that made it. */
  readonly by: string;
}

/** A ban with its target: a network in CIDR notation, or an infohash in lower case. */
export interface BanEntry extends Ban {
  readonly target: string;
  /** Grows from ban to ban; a ban that is changed keeps it. */
  readonly number: number;
}

/** Writes targets into one half of shared memory, in steps. */
export type WriteBans = (targets: readonly string[], words: Int32Array) => Iterable<void>;

/** Targets that one step handles. */
const stepSize = 512;

/** Writes networks as a {@link PrefixMap}. */
export function* writeNetworks(targets: readonly string[], words: Int32Array): Iterable<void> {
  const builder = new PrefixMapBuilder();
  const address = new Address();
  for (const [n, target] of targets.entries()) {
    const bytes = Buffer.from(target);
    builder.add(address, readNetwork(bytes, 0, bytes.length, address), 0);
    if (n % stepSize === 0) yield;
  }
  yield* builder.write(words);
}

/** Writes infohashes as a {@link HashSet}. */
export function* writeTorrents(targets: readonly string[], words: Int32Array): Iterable<void> {
  const keys = new Int32Array(targets.length * torrentWidth);
  for (const [n, target] of targets.entries()) {
    keys.set(new Int32Array(parseInfoHash(target)!.buffer), n * torrentWidth);
    if (n % stepSize === 0) yield;
  }
  yield* new HashSet(torrentWidth, words).write([keys], targets.length);
}

/** The bans of one kind. A change reaches the workers with {@link BanList.apply}. */
export class BanList {
  readonly #bans = new Map<string, BanEntry>();
  readonly #clock: Clock;
  readonly #applies: SharedRun<void>;
  #count = 0;
  /** No ban ends before. */
  #earliest = Number.POSITIVE_INFINITY;

  constructor(memory: DoubleBuffer, write: WriteBans, clock: Clock) {
    this.#clock = clock;
    this.#applies = new SharedRun(async () => {
      const { generation, halves } = memory;
      const next = halves[generation & 1 ? 0 : 1];
      await new Pace().run(write([...this.#bans.keys()], next));
      memory.swap();
    });
  }

  get size(): number {
    return this.#bans.size;
  }

  get isFull(): boolean {
    return this.#bans.size >= maxBans;
  }

  /** The bans, the oldest first. */
  values(): Iterable<BanEntry> {
    return this.#bans.values();
  }

  /** Returns a ban, unless it has ended. */
  get(target: string): BanEntry | undefined {
    const found = this.#bans.get(target);
    return found !== undefined && this.#isOver(found) ? undefined : found;
  }

  /** Adds or changes a ban. @returns the ban with its target */
  set(target: string, ban: Ban): BanEntry {
    const number = this.#bans.get(target)?.number ?? ++this.#count;
    const entry: BanEntry = { target, number, ...ban };
    this.#bans.set(target, entry);
    this.#earliest = Math.min(this.#earliest, ban.until ?? Number.POSITIVE_INFINITY);
    return entry;
  }

  delete(target: string): void {
    this.#bans.delete(target);
  }

  /** Writes the bans into the shared memory. Resolves when all workers see them. */
  apply(): Promise<void> {
    return this.#applies.run();
  }

  /** When {@link expire} has work to do, in seconds since 1970; infinite if no ban ends. */
  get nextExpiry(): number {
    return this.#earliest;
  }

  /** Removes the bans that have ended. @returns how many */
  async expire(): Promise<number> {
    if (this.#earliest > this.#clock.unixSeconds) return 0;
    this.#earliest = Number.POSITIVE_INFINITY;
    const pace = new Pace();
    let ended = 0;
    let visited = 0;
    for (const entry of this.#bans.values()) {
      if (this.#isOver(entry)) {
        this.#bans.delete(entry.target);
        ended++;
      } else this.#earliest = Math.min(this.#earliest, entry.until ?? Number.POSITIVE_INFINITY);
      if (++visited % stepSize === 0) await pace.step();
    }
    if (ended > 0) await this.apply();
    return ended;
  }

  #isOver({ until }: Ban): boolean {
    return until !== undefined && until <= this.#clock.unixSeconds;
  }
}

/** Returns the networks that can contain an address in the spelling of {@link BanEntry.target}, the longest prefix first. */
export function* networksAround(address: Address): Iterable<string> {
  const network = new Address();
  network.copyFrom(address);
  for (let prefix = address.family === 4 ? 32 : 128; prefix >= 0; prefix--) {
    yield `${network}/${prefix}`;
    if (prefix > 0) network.bytes[(prefix - 1) >> 3]! &= 0xff << (8 - ((prefix - 1) & 7));
  }
}
