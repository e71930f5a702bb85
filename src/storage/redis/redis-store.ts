import { createHash, randomBytes } from "node:crypto";
import type { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { ClientError } from "../../bittorrent/client-error.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { infoHashLength, toHex } from "../../bittorrent/info-hash.ts";
import type { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import type { Clock, Random } from "../../lib/clock.ts";
import { TimeoutError, withTimeout } from "../../lib/with-timeout.ts";
import { drawTracker } from "../define-store.ts";
import type { PeerShape } from "../memory/layout.ts";
import { MemoryStore } from "../memory/memory-store.ts";
import { type PeerStore, Step, type StoreStatistics, type SwarmSummary } from "../peer-store.ts";
import { Backlog } from "./backlog.ts";
import { Batch, type BatchEntry, emptyReply, secretLength } from "./batch.ts";
import { type RedisStoreConfig, withoutSecrets } from "./config.ts";
import { checkPermissions, createProbe, skewOf } from "./probe.ts";
import { cellScript, snatchesScript } from "./record-scripts.ts";
import { isForbidden, isFull, isOfKey, SkewError, withRemedy } from "./redis-errors.ts";
import type { RedisArgument, RedisNode, RedisPort } from "./redis-port.ts";
import { RedisRecords } from "./redis-records.ts";
import { announceScript, expireScript, layoutVersion, sweepScript, tailLength } from "./script.ts";
import { listTorrents, type Totals, totalsOf } from "./torrents.ts";
import { RedisWebLink } from "./web-link.ts";

/** Refuses requests while Redis is unavailable and the store does not serve from local memory. */
export const storageUnavailable: ClientError = new ClientError(
  "tracker storage is unavailable",
  "storage-unavailable",
  {
    retryIn: 1,
  },
);
/** Refuses announces while too many others wait for Redis. */
const overloaded = new ClientError("tracker is overloaded", "overloaded", { retryIn: 1 });

/** Statistics of a store's use of Redis; the last three only rise. */
export interface RedisStats {
  /** Announces and scraped torrents that wait for Redis. */
  waiting: number;
  /** Announces that Redis has missed, to be delivered when it is available again. */
  backlog: number;
  /** Announces and scraped torrents refused or served from local memory, because Redis did not respond. */
  unanswered: number;
  /** Peers that did not fit into Redis. */
  refused: number;
  /** Deleted keys without a readable torrent. */
  badKeys: number;
}

/** Maximum records of one batch: one or two milliseconds, in which Redis serves nothing else. */
const maxBatch = 128;
/** Maximum full batches in progress to a single server. A batch that is not full waits until none is in progress. */
const maxBatchesUnderWay = 4;
/** Maximum records that wait or are in progress. */
const maxWaiting = 16_384;
/** Milliseconds between two attempts to reconnect; half of them random. */
const probeMs = 500;
/** Up to this many keys, every call of `statistics` counts them; more keys are counted in the background. */
const fewKeys = 5000;
/** After a background count, the pause is this many times as long as the count took. */
const countPauses = 50;

export interface RedisStoreOptions {
  config: RedisStoreConfig;
  clock: Clock;
  random: Random;
  /** Opens the connection. */
  createPort: (config: RedisStoreConfig, onError: (error: Error) => void) => RedisPort | Promise<RedisPort>;
  /** Called when Redis becomes unavailable (with the reason) or available again. */
  onChange?: (unavailable: string | undefined) => void;
  /** Called after each successful batch: number of records, and milliseconds until the reply. */
  onBatch?: (records: number, milliseconds: number) => void;
  /** The number of this tracker among those that share Redis, the same in all its workers; drawn by default. */
  tracker?: number;
  /** Seconds without a sign of life after which a tracker's web peers are removed. */
  trackerLifetime?: number;
  /** {@link secretLength} bytes from which the salts of new torrents are derived; drawn by default. */
  secret?: Buffer;
  /** Called with an error of the link to other trackers, which does not stop the store. */
  onLinkError?: (error: Error) => void;
  /** Called after the deletion of an unreadable key. @param key  its prefix and the infohash in hexadecimal */
  onBadKey?: (key: string, problem: string) => void;
}

class Script {
  readonly text: string;
  readonly sha: string;

  constructor(text: string) {
    this.text = text;
    this.sha = createHash("sha1").update(text).digest("hex");
  }
}

const announcing = new Script(announceScript);
const expiring = new Script(expireScript);
const sweeping = new Script(sweepScript);
const readingCell = new Script(cellScript);
const raisingSnatches = new Script(snatchesScript);

async function pingAll(port: RedisPort): Promise<void> {
  await Promise.all((await port.masters()).map((node) => node.send(["PING"])));
}

/**
 * Keeps all swarms in Redis or Valkey, where any number of trackers share them. Responds later: the announces of one
 * turn of the event loop, or of the time in which a call is in progress, travel as one call of a script, see `script.ts`,
 * and share one promise.
 *
 * While Redis does not respond in time, the store refuses waiting and new requests with {@link storageUnavailable}, or
 * serves them from a local {@link MemoryStore}. When it serves them, it keeps the last announce of each peer and
 * delivers the announces when Redis is available again.
 *
 * An error that Redis returns for one torrent is not an outage: the store deletes the key, since the next announces
 * restore the peers, and the other torrents of the batch are not affected.
 */
export class RedisStore implements PeerStore {
  readonly records: RedisRecords;
  readonly webLink: RedisWebLink;
  readonly #options: RedisStoreOptions;
  readonly #prefix: Buffer;
  readonly #shape: PeerShape;
  readonly #local: MemoryStore | undefined;
  readonly #backlog: Backlog;
  #config: RedisStoreConfig;
  #port: RedisPort | undefined;
  /** Why Redis is unavailable, or undefined. */
  #unavailableReason: string | undefined = "not started";
  /** Why a primary of a cluster is unavailable while others respond, or undefined. */
  #missingPrimaryReason: string | undefined;
  #lastError = "";
  #isChecking = false;
  #reconnectTimer: NodeJS.Timeout | undefined;
  /** The number of recoveries. An error of a batch from before the last recovery says nothing about the present. */
  #recoveries = 0;
  /** The batches that new requests join: on a cluster one for each torrent, else one with the empty name. */
  readonly #filling = new Map<string, Batch>();
  readonly #full: Batch[] = [];
  #waiting = 0;
  readonly #underWay = new Set<Batch>();
  #isScheduled = false;
  #refused = 0;
  #unanswered = 0;
  #badKeys = 0;
  readonly #tracker: number;
  readonly #secret: Buffer;
  /** Whether the Redis user may run TIME. */
  #canReadTime = true;
  /** The unix seconds of the last comparison with the clock of Redis. */
  #comparedAt = Number.NaN;
  #totals: Totals | undefined;
  #counting: Promise<Totals> | undefined;
  #countAgainMs = 0;

  constructor(options: RedisStoreOptions) {
    const { config, clock, random } = options;
    this.#options = options;
    this.#config = config;
    const { keyPrefix, peerIds, tags = false } = config;
    this.#shape = { peerIds, tags };
    this.#prefix = Buffer.from(`${keyPrefix}${layoutVersion}${peerIds ? "i" : ""}${tags ? "u" : ""}:`);
    this.#backlog = new Backlog(config.maxLocalPeers);
    if (config.onFailure === "serve") {
      this.#local = new MemoryStore({
        config: { ...config, maxPeers: config.maxLocalPeers },
        clock,
        random,
      });
    }
    this.records = this.#createRecords();
    const {
      secret = randomBytes(secretLength),
      tracker = drawTracker(),
      trackerLifetime: lifetime,
      onLinkError: onError = () => undefined,
    } = options;
    this.#secret = secret;
    this.#tracker = tracker;
    this.webLink = new RedisWebLink({
      tracker,
      prefix: `${config.keyPrefix}web:`,
      port: () => this.#openPort(),
      sweep: (dead) => this.#sweep(dead, -1),
      onError,
      lifetime,
    });
  }

  /** True, or why Redis does not serve announces. */
  get readiness(): true | string {
    const reason = this.#unavailableReason ?? this.#missingPrimaryReason;
    return reason === undefined ? true : `redis: ${reason}`;
  }

  get servesUnready(): boolean {
    return this.#config.onFailure === "serve";
  }

  get stats(): RedisStats {
    return {
      waiting: this.#waiting,
      backlog: this.#backlog.size,
      unanswered: this.#unanswered,
      refused: this.#refused,
      badKeys: this.#badKeys,
    };
  }

  get keepsPeerIds(): boolean {
    return this.#shape.peerIds;
  }

  announce(request: AnnounceRequest, response: AnnounceResponse, step: Step): void | Promise<void> {
    if (this.#unavailableReason !== undefined) return this.#announceLocally(request, response, step);
    if (this.#waiting >= maxWaiting) return Promise.reject(overloaded);
    const batch = this.#batchFor(request.infoHash, 0);
    batch.addAnnounce(request, response, step);
    this.#countRequest(batch);
    return batch.settled.promise;
  }

  scrape(request: ScrapeRequest, response: ScrapeResponse): void | Promise<void> {
    if (this.#unavailableReason !== undefined) {
      this.#unanswered += request.count;
      if (this.#local) return this.#local.scrape(request, response);
      return Promise.reject(storageUnavailable);
    }
    if (this.#waiting + request.count > maxWaiting) return Promise.reject(overloaded);
    const batches = new Set<Batch>();
    for (let row = 0; row < request.count; row++) {
      if (request.isHidden(row)) continue;
      const batch = this.#batchFor(request.infoHashes, 20 * row);
      batch.addScraped(request, response, row);
      batches.add(batch);
      this.#countRequest(batch);
    }
    if (batches.size > 0)
      return Promise.all([...batches].map((batch) => batch.settled.promise)).then(() => undefined);
  }

  async remove(infoHash: Uint8Array): Promise<void> {
    const key = this.#keyOf(infoHash);
    const earlier = [...this.#underWay, ...this.#full, ...this.#filling.values()];
    const ofTorrent = earlier.filter((batch) => batch.has(infoHash));
    await Promise.allSettled(ofTorrent.map((batch) => batch.settled.promise));
    await this.#local?.remove(infoHash);
    if (this.#unavailableReason !== undefined) throw storageUnavailable;
    await this.#openPort().send(key, ["UNLINK", key]);
  }

  async statistics(): Promise<StoreStatistics> {
    const isDue = performance.now() >= this.#countAgainMs;
    if (isDue && this.#unavailableReason === undefined && !this.#counting) {
      this.#counting = this.#count().finally(() => {
        this.#counting = undefined;
      });
      this.#counting.catch(() => undefined); // a background count has no caller
    }
    const totals =
      this.#totals === undefined || this.#totals.keys < fewKeys ? await this.#counting : undefined;
    const known = totals ?? this.#totals;
    const { keys, ...counts } = known ?? { keys: undefined, ...this.#localTotals() };
    return { ...counts, ...(keys !== undefined && { torrents: keys }), refused: this.#refused };
  }

  async *swarms(): AsyncGenerator<SwarmSummary> {
    for await (const torrents of listTorrents(await this.#openPort().masters(), this.#prefix))
      yield* torrents;
  }

  /** Visits every torrent. Beside this, each page is searched when it is used. */
  async expire(): Promise<number> {
    const port = this.#openPort();
    const seen = new Set<string>();
    let removed = 0;
    for await (const torrents of listTorrents(await port.masters(), this.#prefix)) {
      for (const { infoHash } of torrents) {
        if (seen.size === seen.add(toHex(infoHash)).size) continue;
        const { mostAhead, mostBehind } = this.#allowedSkew();
        removed += await this.#removePeers(infoHash, expiring, [mostAhead, mostBehind], 1);
      }
    }
    return removed;
  }

  /** Visits every torrent, because no index says where a worker's peers are. */
  async sweep(worker: number): Promise<number> {
    await this.#local?.sweep(worker);
    return this.#sweep(this.#tracker, worker);
  }

  /** @param worker  -1 for all */
  async #sweep(tracker: number, worker: number): Promise<number> {
    let removed = 0;
    for await (const torrents of listTorrents(await this.#openPort().masters(), this.#prefix)) {
      for (const { infoHash, family } of torrents)
        if (family === "web") removed += await this.#removePeers(infoHash, sweeping, [tracker, worker], 5);
    }
    return removed;
  }

  /**
   * Removes peers of a torrent in steps, between which Redis serves other clients. Deletes a key that holds no torrent.
   * @param own    arguments of this script alone
   * @param table  the first table that the script searches
   */
  async #removePeers(
    infoHash: Uint8Array,
    script: Script,
    own: readonly number[],
    table: number,
  ): Promise<number> {
    const key = this.#keyOf(infoHash);
    const { peerLifetime, gcInterval } = this.#config;
    const now = this.#options.clock.unixSeconds;
    let removed = 0;
    try {
      for (let page = 65_535; table < 7; ) {
        const args = [now, peerLifetime, gcInterval, tailLength(this.#shape), ...own, table, page].map(
          String,
        );
        const reply = (await this.#run(script, key, [key], args)) as [number, number, number];
        removed += reply[0];
        [, table, page] = reply;
      }
    } catch (error) {
      if (!isOfKey(error)) throw this.#explain(error as Error);
      await this.#deleteBadKey(infoHash, error as Error);
    }
    return removed;
  }

  async start(): Promise<void> {
    this.#local?.start();
    if (this.#port) return;
    const onError = (error: Error): void => {
      this.#lastError = withRemedy(error);
      void this.#checkConnections();
    };
    const port = await this.#options.createPort(this.#config, onError);
    this.#port = port;
    try {
      await port.connect();
      await this.#probeOnce();
      this.#unavailableReason = undefined;
    } catch (error) {
      const isSkewed = error instanceof SkewError; // clocks are often corrected after a machine has started
      const why = (!isSkewed && this.#lastError) || withRemedy(error as Error);
      if (!this.#local && !isSkewed) {
        this.stop();
        const where = this.#config.broker.map(withoutSecrets).join(", ");
        throw new Error(`cannot use Redis at ${where}: ${why}`, { cause: error });
      }
      this.#unavailableReason = undefined; // so that the failure counts as an outage
      this.#markUnavailable(why);
    }
  }

  stop(): void {
    clearTimeout(this.#reconnectTimer);
    this.webLink.close();
    this.#local?.stop();
    this.#port?.close();
    this.#port = undefined;
    this.#markUnavailable("stopped");
  }

  /** Applies the options that need no new connections. */
  prepare(config: RedisStoreConfig): () => void {
    const takeLocally = this.#local?.prepare({ ...config, maxPeers: config.maxLocalPeers });
    return () => {
      this.#config = config;
      takeLocally?.();
    };
  }

  #createRecords(): RedisRecords {
    const { clock } = this.#options;
    const inTime = <T>(work: Promise<T>): Promise<T> => withTimeout(this.#config.readTimeout * 1000, work);
    return new RedisRecords({
      clock,
      prefix: this.#prefix,
      shape: this.#shape,
      peerLifetime: () => this.#config.peerLifetime,
      masters: async () =>
        (await this.#openPort().masters()).map((node) => ({ send: (args) => inTime(node.send(args)) })),
      isCluster: () => this.#openPort().isCluster,
      send: async (key, args) => inTime(this.#openPort().send(key, args)),
      readCell: async (key, cells, cell) => {
        const args = [tailLength(this.#shape), cells, cell].map(String);
        try {
          return (await inTime(this.#run(readingCell, key, [key], args))) as (number | Buffer)[];
        } catch (error) {
          if (!isOfKey(error)) throw error;
          return []; // the next announce of the torrent deletes the key
        }
      },
      raiseSnatches: async (key, snatches) => {
        const { peerLifetime } = this.#config;
        const { mostAhead, mostBehind } = this.#allowedSkew();
        const numbers = [clock.unixSeconds, peerLifetime, snatches, mostAhead, mostBehind].map(String);
        try {
          await inTime(this.#run(raisingSnatches, key, [key], [...numbers, this.#secret]));
        } catch (error) {
          const explained = this.#explain(error as Error);
          if (!isFull(explained) && !isOfKey(explained)) throw explained;
        }
      },
      deliver: async (batch) => {
        await this.#deliver(batch);
        return batch.refused;
      },
    });
  }

  #keyOf(infoHash: Uint8Array): Buffer {
    return Buffer.concat([this.#prefix, infoHash]);
  }

  #openPort(): RedisPort {
    if (!this.#port) throw storageUnavailable;
    return this.#port;
  }

  #batchFor(infoHashes: Uint8Array, at: number): Batch {
    const name = this.#port!.isCluster ? Buffer.from(infoHashes.buffer, at, 20).toString("latin1") : "";
    let batch = this.#filling.get(name);
    if (!batch) {
      batch = new Batch(this.#shape, name === "" ? 8192 : 128, this.#tracker);
      this.#filling.set(name, batch);
    }
    return batch;
  }

  #countRequest(batch: Batch): void {
    this.#waiting++;
    if (batch.entries.length >= maxBatch) {
      for (const [name, one] of this.#filling) {
        if (one !== batch) continue;
        this.#filling.delete(name);
        this.#full.push(batch);
        break;
      }
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    this.#isScheduled = false;
    const isCluster = this.#port?.isCluster === true;
    while (this.#full.length > 0 && (isCluster || this.#underWay.size < maxBatchesUnderWay))
      this.#send(this.#full.shift()!);
    // A call costs Redis as much as several announces, so the next ones gather until the response to the last.
    if (!isCluster && this.#underWay.size > 0) return;
    const batches = [...this.#filling.values()];
    this.#filling.clear();
    for (const batch of batches) this.#send(batch);
  };

  /** Sends a batch and fills its responses; without Redis, refuses or serves the batch locally. Never rejects. */
  async #send(batch: Batch): Promise<void> {
    this.#underWay.add(batch);
    const started = performance.now();
    const recoveries = this.#recoveries;
    const release = (): void => {
      if (!this.#underWay.delete(batch)) return;
      if (this.#full.length > 0 || this.#filling.size > 0) this.#flush();
    };
    const fail = (error: Error): void => {
      this.#failBatch(batch, error, recoveries);
      release(); // a command whose connection went silent may never end
    };
    const timer = setTimeout(fail, this.#config.readTimeout * 1000, new Error("no response in time"));
    try {
      await this.#exchange(batch);
      if (batch.isDone) return;
      if (this.#backlog.size > 0) this.#forgetStopped(batch);
      this.#finish(batch);
      this.#options.onBatch?.(batch.entries.length, performance.now() - started);
    } catch (error) {
      fail(error as Error);
    } finally {
      clearTimeout(timer);
      release();
    }
  }

  /**
   * Sends a batch and fills its responses; torrent by torrent if one torrent makes the script fail.
   * @param whole  the batch that contains this one; once `whole` is done, no response is filled
   * @throws Error if Redis is unavailable
   */
  async #exchange(batch: Batch, whole: Batch = batch): Promise<void> {
    try {
      this.#readReply(batch, whole, await this.#announce(batch));
    } catch (error) {
      if (!isOfKey(error) || whole.isDone) throw error;
      const parts = batch.byTorrent();
      if (parts.length === 1) await this.#rebuild(batch, whole, error as Error);
      else await Promise.all(parts.map((part) => this.#exchange(part, whole)));
    }
  }

  /**
   * Deletes the torrent of a batch and sends the batch again. If the script fails again, the responses are those of a
   * torrent without peers.
   */
  async #rebuild(batch: Batch, whole: Batch, problem: Error): Promise<void> {
    await this.#deleteBadKey(batch.infoHash(batch.entries[0]!), problem);
    const reply = await this.#announce(batch).catch((error) => {
      if (!isOfKey(error)) throw error;
      return emptyReply(batch.entries.length);
    });
    this.#readReply(batch, whole, reply);
  }

  #readReply(batch: Batch, whole: Batch, reply: Buffer): void {
    const refused = reply.readUInt16BE(0);
    this.#refused += refused;
    whole.refused += refused;
    if (!whole.isDone) batch.readReply(reply);
  }

  /**
   * Deletes an unreadable key.
   * @throws Error if the script also fails for a probe torrent, since then the key is not the cause
   */
  async #deleteBadKey(infoHash: Uint8Array, problem: Error): Promise<void> {
    const key = this.#keyOf(infoHash);
    const port = this.#openPort();
    const node = (await port.masters()).find((one) => one.owns?.(key) ?? true);
    if (node) await this.#probeNode(node);
    await port.send(key, ["UNLINK", key]);
    this.#badKeys++;
    this.#options.onBadKey?.(`${this.#prefix.toString("latin1")}${toHex(infoHash)}`, problem.message);
  }

  async #announce(batch: Batch): Promise<Buffer> {
    const { clock, random } = this.#options;
    const { peerLifetime, gcInterval } = this.#config;
    const bytes = batch.seal({
      clock,
      peerLifetime,
      gcInterval,
      seed: random.next(),
      secret: this.#secret,
      ...this.#allowedSkew(),
    });
    const port = this.#openPort();
    const key = this.#keyOf(batch.infoHash(batch.entries[0]!));
    const keys = port.isCluster ? [key] : [];
    const run = async () => (await this.#run(announcing, key, keys, [bytes, this.#prefix])) as Buffer;
    try {
      const reply = await run();
      this.#comparedAt = batch.sealedAt!;
      return reply;
    } catch (error) {
      if (!isFull(error) || batch.isDone) throw this.#explain(error as Error);
      batch.setFull(); // Redis has written nothing, because the first write has failed
      return run();
    }
  }

  /** Returns how far the clocks may differ. The script compares them once per second of the tracker's clock. */
  #allowedSkew(): { mostAhead: number; mostBehind: number } {
    const { maxClockSkew = 0, readTimeout } = this.#config;
    if (maxClockSkew === 0 || !this.#canReadTime || this.#comparedAt === this.#options.clock.unixSeconds)
      return { mostAhead: 0, mostBehind: 0 };
    const mostAhead = Math.ceil(maxClockSkew);
    // A batch may wait in Redis before the script runs.
    return { mostAhead, mostBehind: mostAhead + Math.ceil(readTimeout) };
  }

  #explain(error: Error): Error {
    const skew = /^SKEW (-?\d+)/.exec(error.message)?.[1];
    return skew === undefined ? error : new SkewError(Number(skew), this.#config.maxClockSkew!);
  }

  /** Sends a batch without callers. */
  async #deliver(batch: Batch): Promise<void> {
    await withTimeout(this.#config.readTimeout * 1000, this.#exchange(batch));
  }

  /** Runs a script by its hash; sends its text if Redis does not have the script. */
  async #run(script: Script, key: Buffer, keys: Buffer[], args: readonly RedisArgument[]): Promise<unknown> {
    const port = this.#openPort();
    const rest = [`${keys.length}`, ...keys, ...args];
    try {
      return await port.send(key, ["EVALSHA", script.sha, ...rest]);
    } catch (error) {
      if (!(error as Error).message.startsWith("NOSCRIPT")) throw error;
      return port.send(key, ["EVAL", script.text, ...rest]);
    }
  }

  #finish(batch: Batch, error?: ClientError): void {
    batch.isDone = true;
    this.#waiting -= batch.entries.length;
    if (error) batch.settled.reject(error);
    else batch.settled.resolve();
  }

  /** Ends a batch without a reply. @param recoveries  their number when the batch was sent */
  #failBatch(batch: Batch, error: Error, recoveries: number): void {
    if (batch.isDone) return;
    this.#unanswered += batch.entries.length;
    if (recoveries === this.#recoveries) this.#reportFailure(error.message);
    if (this.#local) for (const entry of batch.entries) this.#serveLocally(batch, entry);
    // Only a successful probe delivers the backlog.
    if (recoveries !== this.#recoveries && this.#backlog.size > 0) this.#scheduleReconnect();
    this.#finish(batch, this.#local ? undefined : storageUnavailable);
  }

  /** Serves one entry of a batch from local memory, and keeps the entry for Redis. */
  #serveLocally(batch: Batch, entry: BatchEntry): void {
    if (entry.response === undefined) this.#backlog.putBack(batch.recordOf(entry));
    else if ("row" in entry) this.#local!.scrape(entry.request, entry.response);
    else {
      this.#local!.announce(entry.request, entry.response, entry.step);
      if (entry.step & Step.apply) {
        this.#backlog.put(batch.recordOf(entry, batch.sealedAt ?? this.#options.clock.unixSeconds));
      }
    }
  }

  #announceLocally(request: AnnounceRequest, response: AnnounceResponse, step: Step): void | Promise<void> {
    this.#unanswered++;
    if (!this.#local) return Promise.reject(storageUnavailable);
    this.#local.announce(request, response, step);
    if ((step & Step.apply) === 0) return;
    const batch = new Batch(this.#shape, 128, this.#tracker);
    batch.addAnnounce(request, response, step);
    this.#backlog.put(batch.recordOf(batch.entries[0]!, this.#options.clock.unixSeconds));
  }

  /** Checks after an error of a connection whether Redis is unavailable, since there may be no announce to find out. */
  async #checkConnections(): Promise<void> {
    if (this.readiness !== true || this.#isChecking) return;
    this.#isChecking = true;
    try {
      await pingAll(this.#openPort());
    } catch {
      this.#reportFailure(this.#lastError);
    } finally {
      this.#isChecking = false;
    }
  }

  #reportFailure(reason: string): void {
    if (this.#unavailableReason !== undefined) return;
    if (this.#port?.isCluster) this.#markPrimaryMissing(reason);
    else this.#markUnavailable(reason);
  }

  /** Marks Redis as unavailable, ends all waiting batches, and starts to reconnect. */
  #markUnavailable(reason: string): void {
    if (this.#unavailableReason === undefined) {
      this.#unavailableReason = reason;
      this.#options.onChange?.(reason);
      const batches = [...this.#full, ...this.#filling.values()];
      this.#full.length = 0;
      this.#filling.clear();
      for (const batch of batches) this.#failBatch(batch, new Error(reason), this.#recoveries);
    }
    if (this.#port) this.#scheduleReconnect();
  }

  /** Marks one primary of a cluster as missing. The store continues to use the others. */
  #markPrimaryMissing(reason: string): void {
    if (this.#missingPrimaryReason !== undefined) return;
    this.#missingPrimaryReason = reason;
    this.#options.onChange?.(reason);
    this.#scheduleReconnect();
  }

  /** Removes stopped peers from the backlog, so that the backlog does not restore them. */
  #forgetStopped(batch: Batch): void {
    for (const entry of batch.entries) {
      if (entry.response === undefined || "row" in entry || entry.request.event !== AnnounceEvent.stopped)
        continue;
      this.#backlog.forget(batch.recordOf(entry));
    }
  }

  #scheduleReconnect(): void {
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = setTimeout(
      () => void this.#reconnect(),
      probeMs / 2 + (Math.random() * probeMs) / 2,
    ).unref();
  }

  /** Tries to reconnect; on success, delivers the backlog. */
  async #reconnect(): Promise<void> {
    try {
      await this.#openPort().connect();
      await this.#probeOnce();
      await this.#deliverBacklog();
      if (this.readiness === true) return;
      this.#unavailableReason = undefined;
      this.#missingPrimaryReason = undefined;
      this.#recoveries++;
      this.#options.onChange?.(undefined);
    } catch (error) {
      if (!this.#port) return;
      if (error instanceof TimeoutError) this.#port.renew();
      const message = withRemedy(error as Error);
      if (this.#unavailableReason !== undefined) this.#unavailableReason = message;
      else if (this.#missingPrimaryReason !== undefined) this.#missingPrimaryReason = message;
      else return this.#reportFailure(message);
      this.#scheduleReconnect();
    }
  }

  /** Runs the commands of announces on every primary. @throws Error with the reason if announces would fail */
  async #probeOnce(): Promise<void> {
    const nodes = await this.#openPort().masters();
    await Promise.all(nodes.map((node) => this.#probeNode(node)));
  }

  /** Announces peers of a random torrent, which does not exist after the script. */
  async #probeNode(node: RedisNode): Promise<void> {
    const { readTimeout, maxClockSkew = 0 } = this.#config;
    let infoHash: Buffer;
    do infoHash = randomBytes(infoHashLength);
    while (node.owns?.(this.#keyOf(infoHash)) === false);
    const waiting = async (): Promise<void> => {
      if (maxClockSkew > 0) await this.#compareClocks(node, maxClockSkew);
      try {
        await node.send(["EVAL", "return 1", "0"]);
        await this.#announce(createProbe(infoHash, this.#shape));
        const key = this.#keyOf(infoHash);
        await this.#openPort().send(key, ["UNLINK", key]);
      } catch (error) {
        if (!isForbidden(error)) throw error;
        await checkPermissions(this.#openPort(), this.#keyOf(infoHash), error as Error);
      }
    };
    await withTimeout(readTimeout * 1000, waiting());
  }

  async #compareClocks(node: RedisNode, most: number): Promise<void> {
    try {
      const skew = await skewOf(node, this.#options.clock);
      this.#canReadTime = true;
      if (Math.abs(skew) > most) throw new SkewError(skew, most);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      this.#canReadTime = false;
    }
  }

  /** Delivers the backlog in the order of its announces. New announces still join the backlog meanwhile. */
  async #deliverBacklog(): Promise<void> {
    for (;;) {
      const batches = this.#backlog.take(maxBatch, this.#shape, this.#port!.isCluster);
      if (batches.length === 0) return;
      // All at once: on a cluster there is one batch per torrent, and announces continue to arrive.
      const delivered = batches.map(async (batch) => {
        try {
          await this.#deliver(batch);
        } catch (error) {
          for (const entry of batch.entries) this.#serveLocally(batch, entry);
          throw error;
        }
      });
      await Promise.allSettled(delivered);
      await Promise.all(delivered);
    }
  }

  #localTotals(): Omit<StoreStatistics, "refused"> {
    const { refused: _, ...totals } = this.#local?.statistics() ?? {
      swarms: 0,
      seeders: 0,
      leechers: 0,
      peers4: 0,
      peers6: 0,
      peersWeb: 0,
      refused: 0,
    };
    return totals;
  }

  /** Counts the whole store, one page of keys at a time. */
  async #count(): Promise<Totals> {
    const started = performance.now();
    const totals = await totalsOf(await this.#openPort().masters(), this.#prefix);
    this.#totals = totals;
    if (totals.keys >= fewKeys) {
      const ended = performance.now();
      this.#countAgainMs = ended + countPauses * (ended - started);
    }
    return totals;
  }
}
