import { toHex } from "../../src/bittorrent/info-hash.ts";
import { udp } from "../../src/frontend/udp/index.ts";
import type { UdpOptions } from "../../src/frontend/udp/options.ts";
import { UdpFrontend } from "../../src/frontend/udp/udp-frontend.ts";
import { createIntervalVariation } from "../../src/hooks/interval-variation/interval-variation.ts";
import { Address, type Family } from "../../src/ip/address.ts";
import { createRandom, type Random } from "../../src/lib/clock.ts";
import type { Hook } from "../../src/middleware/hook.ts";
import { TrackerLogic } from "../../src/middleware/logic.ts";
import {
  DatagramBatch,
  type DatagramHandler,
  type DatagramOptions,
  type DatagramSocket,
  datagramCapacity,
  type SendResponse,
} from "../../src/net/datagram.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import type { Observer } from "../../src/observability/observer.ts";
import { parseResponse } from "../../src/protocol/udp/client.ts";
import { maxUrlDataLength } from "../../src/protocol/udp/options.ts";
import { Action, maxResponseLength, requestHeadLength } from "../../src/protocol/udp/packet.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";
import { approveClients, approveTorrents } from "../support/approval.ts";
import { checkMemory } from "../support/check-memory.ts";
import { reporterOf } from "../support/observed.ts";
import { udpOptions } from "../support/udp.ts";
import { below, mutate, oneIn, pick } from "./mutate.ts";
import { ensure, type FuzzTarget } from "./target.ts";
import { udpSeeds } from "./udp-seeds.ts";

const slots = 32;
const hosts = 48;
/** Connection ids that are remembered of each source, which span more time than they live. */
const idsKept = 24;
/** Seconds after which an id must be refused, and up to which it must be taken. */
const idDead = 640;
const idAlive = 600;
const canary = 0xa5;

/** One bound address, with the memory of its batches and what its clients know. */
class FuzzSocket implements DatagramSocket {
  readonly port = 6969;
  readonly receiveBuffer = Number.POSITIVE_INFINITY;
  readonly family: Family;
  readonly batch: DatagramBatch;
  /** Addresses that datagrams come from; those after the first {@link hosts} never learn an id. */
  readonly sources: readonly Address[];
  /** The ids that each source got last, newest first, as words; and when it got them last. */
  readonly ids: Uint32Array = new Uint32Array(hosts * idsKept * 2);
  readonly idTimes: Float64Array = new Float64Array(hosts * idsKept).fill(Number.NEGATIVE_INFINITY);
  /** Index of the source of each slot. */
  readonly from: Uint8Array = new Uint8Array(slots);
  /** Answers that each source still waits for. */
  readonly waiting: Int32Array = new Int32Array(hosts);
  /** Requests of each source that may be answered late, or never: their ids were between alive and dead. */
  readonly doubtful: Int32Array = new Int32Array(hosts);
  readonly #late: (source: number, bytes: Uint8Array) => void;

  constructor(family: Family, late: (socket: FuzzSocket, source: number, bytes: Uint8Array) => void) {
    this.family = family;
    this.batch = new DatagramBatch(
      slots,
      new Uint8Array(2 * slots * datagramCapacity),
      Array.from({ length: slots }, () => new Address()),
    );
    const own = (i: number) => Address.parse(family === 4 ? `198.51.100.${i + 1}` : `2001:db8:${i}::1`);
    const unusable = family === 4 ? ["0.0.0.0", "224.0.0.1", "255.255.255.255"] : ["::", "ff02::1"];
    const unverified = family === 4 ? ["203.0.113.1", "127.0.0.1"] : ["2001:db8:ffff::1", "fe80::1", "::1"];
    this.sources = [
      ...Array.from({ length: hosts }, (_, i) => own(i)),
      ...[...unusable, ...unverified].map((text) => Address.parse(text)),
    ];
    this.#late = (source, bytes) => late(this, source, bytes);
  }

  countDrops(): number {
    return 0;
  }

  replyPath(slot: number): SendResponse {
    const source = this.from[slot]!;
    return (bytes, start, end) => this.#late(source, bytes.slice(start, end));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** The torrents that a hook refuses. */
const refused = [1, 2, 3, 4].map((byte) => new Uint8Array(20).fill(byte));
/** Hooks without a state of their own. */
const clientApproval = await approveClients({ blacklist: ["TR3000"] });
const torrentApproval = await approveTorrents({ blacklist: refused.map((infoHash) => toHex(infoHash)) });

/**
 * UDP datagrams, generated and mutated, in batches of {@link slots} through the whole of the UDP frontend, the
 * logic with its built-in hooks, and the memory store; only the sockets are not real.
 */
export class UdpTarget implements FuzzTarget {
  readonly name = "udp";
  count = 0;
  readonly #random: Random;
  readonly #clock = { seconds: 10_000, unixSeconds: 1_700_000_000 };
  readonly #metrics = new Metrics();
  /** Counts the requests under way. */
  #open = 0;
  readonly #observer: Observer = {
    requestBegan: () => void this.#open++,
    requestEnded: () => void this.#open--,
  };
  readonly #store: MemoryStore;
  readonly #logic: TrackerLogic;
  readonly #frontend: UdpFrontend;
  readonly #sockets: FuzzSocket[] = [];
  readonly #infoHashes: Uint8Array[];
  readonly #hooks: Hook[];
  readonly #seenByPostHook: Hook;
  #handler: DatagramHandler | undefined;
  #options: UdpOptions;
  #gate = Promise.withResolvers<void>();
  #socket: FuzzSocket | undefined;
  #slot = 0;
  #failure: unknown;

  constructor(seed: number) {
    this.#random = createRandom(seed);
    this.#store = new MemoryStore({
      config: { gcInterval: 180, peerLifetime: 1800, maxPeers: 20_000, peerIds: false },
      clock: this.#clock,
      random: this.#random,
    });
    this.#infoHashes = [
      ...refused,
      ...Array.from({ length: 60 }, () => Uint8Array.from({ length: 20 }, () => this.#random.next())),
    ];
    const late: Hook = {
      name: "late",
      handleAnnounce: ({ infoHash }) => (infoHash[19] === 7 ? this.#gate.promise : undefined),
      handleScrape: (request) => (request.infoHashes[19] === 7 ? this.#gate.promise : undefined),
    };
    const params: Hook = {
      name: "params",
      handleAnnounce: ({ params, peerId }) => {
        if (peerId[19]! > 64) return;
        const { length } = params.path + params.query;
        ensure(length <= maxUrlDataLength, () => `URL data of ${length} bytes`);
        void `${params.get("key")}${params.route("key")}`;
      },
    };
    this.#hooks = [
      clientApproval,
      torrentApproval,
      createIntervalVariation({ modifyResponseProbability: 0.5, maxIncreaseDelta: 60 }),
      params,
      late,
    ];
    this.#seenByPostHook = {
      name: "seen",
      handleAnnounce: ({ port, params }, { peers4, peers6 }) => {
        if (port === 0 || peers4.count > peers4.limit || peers6.count > peers6.limit) {
          throw new Error("a posthook saw another request");
        }
        if (port === 1) void params.get("x");
      },
    };
    const onError = (error: unknown) => {
      this.#failure ??= error;
    };
    this.#logic = new TrackerLogic(this.#store, this.#settings(this.#hooks, true), (_where, error) =>
      onError(error),
    );
    this.#options = {
      ...udpOptions,
      listen: [
        { host: "127.0.0.1", port: 0 },
        { host: "::1", port: 0 },
      ],
    };
    this.#frontend = new UdpFrontend(this.#options, {
      logic: this.#logic,
      clock: this.#clock,
      requests: reporterOf(udp, this.#metrics, this.#observer),
      onError,
      bind: (options) => this.#bind(options),
    });
  }

  input(): Uint8Array {
    const { batch } = this.#socket!;
    const at = batch.inAt(this.#slot);
    return batch.bytes.slice(at, at + batch.length[this.#slot]!);
  }

  async run(cases: number): Promise<void> {
    await this.#frontend.start();
    const random = this.#random;
    let next = 0;
    for (let done = 0; done < cases; ) {
      if (done >= next) {
        this.#reconfigure();
        next = done + 2000;
      }
      this.#tick();
      const count = Math.min(1 + below(random, slots), cases - done);
      this.#batch(this.#sockets[below(random, 2)]!, count);
      done += count;
    }
    this.#gate.resolve();
    this.#gate = Promise.withResolvers();
    await this.#logic.drained();
    await new Promise(setImmediate);
    if (this.#failure !== undefined) throw this.#failure;
    for (const { waiting, doubtful } of this.#sockets) {
      ensure(
        waiting.every((count, source) => count <= 0 && -count <= doubtful[source]!),
        () => "a request of a valid client was answered never, or twice",
      );
      waiting.fill(0);
      doubtful.fill(0);
    }
  }

  check(): void {
    checkMemory(this.#store.memory);
  }

  async stop(deadline: AbortSignal): Promise<void> {
    await this.#frontend.stop(deadline);
    ensure(this.#open === 0, () => `${this.#open} more requests have begun than have ended`);
  }

  #settings(preHooks: Hook[], posthook: boolean) {
    return { interval: 1800, minInterval: 900, preHooks, postHooks: posthook ? [this.#seenByPostHook] : [] };
  }

  #bind({ host, handler }: DatagramOptions): Promise<DatagramSocket> {
    this.#handler = handler;
    const socket = new FuzzSocket(host.includes(":") ? 6 : 4, (at, source, bytes) =>
      this.#late(at, source, bytes),
    );
    this.#sockets.push(socket);
    return Promise.resolve(socket);
  }

  /** Other options and hooks for the next cases, as after a reload. */
  #reconfigure(): void {
    const random = this.#random;
    this.#options = {
      ...this.#options,
      maxNumWant: pick(random, [1, 50, 100, 10_000]),
      defaultNumWant: pick(random, [1, 50, 10_000]),
      maxScrapeInfoHashes: pick(random, [1, 74]),
      allowIpSpoofing: oneIn(random, 4),
      requestTiming: oneIn(random, 4),
    };
    this.#frontend.prepare(this.#options)();
    const hooks = this.#hooks.filter(() => !oneIn(random, 3));
    void this.#logic.update(this.#settings(hooks, oneIn(random, 2)));
  }

  #tick(): void {
    const random = this.#random;
    let passed = oneIn(random, 32) ? below(random, 8) : 0;
    if (oneIn(random, 8192)) {
      passed = below(random, 4000);
      this.#store.expire();
    }
    this.#clock.seconds += passed;
    this.#clock.unixSeconds += passed;
  }

  #batch(socket: FuzzSocket, count: number): void {
    const { batch, family } = socket;
    this.#socket = socket;
    for (let slot = 0; slot < count; slot++) {
      this.#fill(socket, slot);
      const outAt = batch.outAt(slot);
      batch.bytes.fill(canary, outAt + maxResponseLength[family], outAt + datagramCapacity);
      batch.outLength[slot] = 0;
    }
    this.#handler!.handleBatch(socket, batch, count, family);
    for (let slot = 0; slot < count; slot++) {
      this.#slot = slot;
      this.#checkAnswer(socket, slot);
      this.count++;
    }
    this.#handler!.afterBatch();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #fill(socket: FuzzSocket, slot: number): void {
    const random = this.#random;
    const { batch, sources } = socket;
    const source = oneIn(random, 64) ? below(random, sources.length) : below(random, hosts);
    socket.from[slot] = source;
    batch.address[slot]!.copyFrom(sources[source]!);
    batch.port[slot] = oneIn(random, 256) ? 0 : 1 + below(random, 65_535);
    const at = batch.inAt(slot);
    let length = this.#generate(batch, at);
    if (length >= 8) this.#putId(socket, batch.view, at, source);
    if (oneIn(random, 3)) length = mutate(random, batch.bytes, at, length, datagramCapacity);
    batch.length[slot] = length;
  }

  /** Writes a request, mostly a sound one but for its connection id. @returns its length */
  #generate({ bytes, view }: DatagramBatch, at: number): number {
    const random = this.#random;
    const kind = below(random, 16);
    if (kind === 0) {
      const length = below(random, oneIn(random, 8) ? datagramCapacity : 160);
      for (let i = 0; i < length; i++) bytes[at + i] = random.next();
      return length;
    }
    let seed = udpSeeds[0]!; // a connect
    if (kind > 1) seed = pick(random, udpSeeds);
    bytes.set(seed, at);
    let { length } = seed;
    view.setUint32(at + 12, random.next());
    const action = view.getUint32(at + 8);
    if (action === Action.scrape) {
      const count = pick(random, [0, 1, 2, 3, 10, 74, 75, 100]);
      length = requestHeadLength + count * 20 + (oneIn(random, 8) ? below(random, 20) : 0);
      for (let i = 16; i < length; i += 20) this.#putInfoHash(bytes, at + i);
    } else if (action === Action.announce || action === Action.announceIPv6) {
      this.#putInfoHash(bytes, at + 16);
      view.setUint32(at + 64, pick(random, [0, 0, 0, 0xffff_ffff]));
      view.setUint32(at + 68, pick(random, [0, 0, 1, 3_000_000, 0xffff_ffff]));
      view.setUint32(at + 80, pick(random, [0, 0, 0, 1, 2, 2, 3, 3, 4, 5, 0xffff_ffff]));
      const tail = at + (action === Action.announce ? 98 : 110);
      view.setInt32(tail - 6, pick(random, [-1, -1, 0, 1, 30, 50, 100, 243, 0x7fff_ffff, -0x8000_0000]));
      view.setUint16(tail - 2, oneIn(random, 64) ? 0 : 1 + below(random, 8));
      if (oneIn(random, 8)) length = this.#putOptions(bytes, tail) - at;
    }
    return length;
  }

  #putInfoHash(bytes: Uint8Array, at: number): void {
    const random = this.#random;
    if (oneIn(random, 8)) for (let i = 0; i < 20; i++) bytes[at + i] = random.next();
    else bytes.set(pick(random, this.#infoHashes), at);
  }

  /** Writes options of BEP 41, whole and broken ones. @returns the offset after them */
  #putOptions(bytes: Uint8Array, at: number): number {
    const random = this.#random;
    for (let left = below(random, 7); left > 0; left--) {
      const type = pick(random, [0, 1, 2, 2, 2, 2, 2, 2, 3, 255]);
      bytes[at++] = type;
      if (type < 2) continue;
      const length = pick(random, [0, 1, 9, 255, 255, 255]);
      bytes[at++] = length;
      const text = pick(random, ["/announce", "?key=%41&x", "/p%zz/a?", "\xff\x00&"]);
      for (let i = 0; i < length; i++) bytes[at++] = text.charCodeAt(i % text.length);
    }
    return at;
  }

  /** Puts a connection id in front: mostly one that the source was given. */
  #putId(socket: FuzzSocket, view: DataView, at: number, source: number): void {
    const random = this.#random;
    if (view.getUint32(at + 8) === Action.connect && !oneIn(random, 8)) return;
    const owner = oneIn(random, 16) ? below(random, hosts) : source;
    // Not the oldest: the batch may push it out before its answer is checked.
    const index = owner * idsKept + (oneIn(random, 4) ? below(random, idsKept - 1) : 0);
    if (owner >= hosts || oneIn(random, 32)) {
      view.setUint32(at, random.next());
      view.setUint32(at + 4, random.next());
    } else {
      view.setUint32(at, socket.ids[index * 2]!);
      view.setUint32(at + 4, socket.ids[index * 2 + 1]!);
    }
  }

  /** Seconds since the source was given the id that stands in the request; Infinity where it never was. */
  #idAge(socket: FuzzSocket, source: number, high: number, low: number): number {
    let age = Number.POSITIVE_INFINITY;
    for (let i = source * idsKept; source < hosts && i < (source + 1) * idsKept; i++) {
      if (socket.ids[i * 2] !== high || socket.ids[i * 2 + 1] !== low) continue;
      age = Math.min(age, this.#clock.unixSeconds - socket.idTimes[i]!);
    }
    return age;
  }

  #checkAnswer(socket: FuzzSocket, slot: number): void {
    const { batch, family } = socket;
    const { view } = batch;
    const at = batch.inAt(slot);
    const outAt = batch.outAt(slot);
    const source = socket.from[slot]!;
    const length = batch.length[slot]!;
    const outLength = batch.outLength[slot]!;
    const limit = maxResponseLength[family];
    ensure(outLength <= limit, () => `an answer of ${outLength} bytes over IPv${family}`);
    ensure(batch.bytes[outAt + limit] === canary, () => "bytes were written beyond the answer's limit");
    if (length < requestHeadLength || batch.port[slot] === 0 || !batch.address[slot]!.isUsable()) {
      ensure(outLength === 0, () => "an answer to what cannot be answered");
      return;
    }
    const age = this.#idAge(socket, source, view.getUint32(at), view.getUint32(at + 4));
    const action = view.getUint32(at + 8);
    if (outLength === 0) {
      // Silence: a connect without the magic number, an unverified address, or a hook that waits.
      if (action !== Action.connect && age <= idAlive) socket.waiting[source]!++;
      else if (age < idDead) socket.doubtful[source]!++;
      return;
    }
    ensure(
      outLength <= length || (action !== Action.connect && age < idDead),
      () => "more than was sent, unverified",
    );
    const answer = parseResponse(batch.bytes.subarray(outAt, outAt + outLength), family);
    if (answer === undefined) throw new Error("an answer that its client cannot parse");
    ensure(answer.transactionId === view.getUint32(at + 12), () => "another transaction id");
    if (answer.action === "error") {
      const isRefusal = answer.message === "bad connection ID";
      ensure(
        /^[a-zA-Z ]{5,40}$/.test(answer.message),
        () => `a message of ${JSON.stringify(answer.message)}`,
      );
      ensure(!isRefusal || age > idAlive, () => "a valid connection id was refused");
      ensure(isRefusal || age < idDead, () => "an invalid connection id was taken");
      ensure(action !== Action.connect, () => "an error to a connect");
    } else if (answer.action === "connect") {
      ensure(action === Action.connect, () => "a connection id that nobody asked for");
      if (source < hosts) this.#learn(socket, source, view.getUint32(outAt + 8), view.getUint32(outAt + 12));
    } else {
      ensure(age < idDead, () => "an invalid connection id was taken");
      ensure(view.getUint32(outAt) === action, () => "another action than was asked for");
      if (answer.action === "announce") {
        const tail = at + (action === Action.announce ? 98 : 110);
        const wanted = view.getInt32(tail - 6);
        const isDefault = wanted < 0 || (wanted === 0 && view.getBigUint64(at + 64) > 0n);
        const most = Math.min(isDefault ? this.#options.defaultNumWant : wanted, this.#options.maxNumWant);
        ensure(answer.peers.length <= most * (family === 4 ? 6 : 18), () => "more peers than were wanted");
        ensure(answer.interval >= 1800 && answer.interval <= 1860, () => `an interval of ${answer.interval}`);
      } else {
        const sent = Math.floor((length - requestHeadLength) / 20);
        const rows = Math.min(sent, this.#options.maxScrapeInfoHashes);
        ensure(answer.rows.length === rows, () => `${answer.rows.length} rows for ${sent} infohashes`);
      }
    }
  }

  #learn(socket: FuzzSocket, source: number, high: number, low: number): void {
    const { ids, idTimes } = socket;
    const at = source * idsKept;
    if (ids[at * 2] !== high || ids[at * 2 + 1] !== low) {
      ids.copyWithin((at + 1) * 2, at * 2, (at + idsKept - 1) * 2);
      idTimes.copyWithin(at + 1, at, at + idsKept - 1);
      ids[at * 2] = high;
      ids[at * 2 + 1] = low;
    }
    idTimes[at] = this.#clock.unixSeconds;
  }

  /** Hears of an answer that came after its batch. */
  #late(socket: FuzzSocket, source: number, bytes: Uint8Array): void {
    try {
      ensure(source >= 0 && source < hosts, () => "a late answer to somebody else");
      ensure(
        bytes.length <= maxResponseLength[socket.family],
        () => `a late answer of ${bytes.length} bytes`,
      );
      ensure(parseResponse(bytes, socket.family) !== undefined, () => "a late answer that nobody can parse");
      socket.waiting[source]!--;
    } catch (error) {
      this.#failure ??= error;
    }
  }
}
