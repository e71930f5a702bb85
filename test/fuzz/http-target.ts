import { HttpFrontend } from "../../src/frontend/http/http-frontend.ts";
import { http } from "../../src/frontend/http/index.ts";
import type { HttpOptions } from "../../src/frontend/http/options.ts";
import { createIntervalVariation } from "../../src/hooks/interval-variation/interval-variation.ts";
import type { HttpConnection } from "../../src/http/connection.ts";
import { Address } from "../../src/ip/address.ts";
import { createRandom, type Random } from "../../src/lib/clock.ts";
import type { Hook } from "../../src/middleware/hook.ts";
import { TrackerLogic } from "../../src/middleware/logic.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import type { Observer } from "../../src/observability/observer.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";
import { httpOptions } from "../fixtures/http-server.ts";
import { approveClients, approveTorrents } from "../support/approval.ts";
import { checkMemory } from "../support/check-memory.ts";
import { reporterOf } from "../support/observed.ts";
import { FuzzConnection, FuzzListener } from "./fuzz-connection.ts";
import { readResponses } from "./http-responses.ts";
import { announceQueries, headers, proxyHeaders, refusedLines, scrapeQueries } from "./http-seeds.ts";
import { below, mutate, oneIn, pick } from "./mutate.ts";
import { ensure, type FuzzTarget } from "./target.ts";

const capacity = 64 * 1024;
/** Hooks without a state of their own. */
const clientApproval = await approveClients({ blacklist: ["TR2000"] });
const torrentApproval = await approveTorrents({ blacklist: ["00".repeat(20)] });
const remotes = ["192.0.2.1", "198.51.100.7", "2001:db8::5", "10.0.0.3", "10.0.0.4"].map((text) =>
  Address.parse(text),
);

/**
 * Byte streams of HTTP connections, generated and mutated, whole and in pieces, through the whole of the HTTP
 * frontend, the logic with its built-in hooks, and the memory store; only the sockets are not real.
 */
export class HttpTarget implements FuzzTarget {
  readonly name = "http";
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
  readonly #frontend: HttpFrontend;
  readonly #hooks: Hook[];
  readonly #bytes = new Uint8Array(capacity);
  #length = 0;
  /** Requests in the stream, where it is known that all of them are sound. */
  #sound = 0;
  #options: HttpOptions;
  readonly #connection = new FuzzConnection();
  readonly #listener = new FuzzListener();
  /** Whether a hook has made a request wait. */
  #isLate = false;
  #failure: unknown;

  constructor(seed: number) {
    this.#random = createRandom(seed);
    this.#store = new MemoryStore({
      config: { gcInterval: 180, peerLifetime: 1800, maxPeers: 5000, peerIds: true },
      clock: this.#clock,
      random: this.#random,
    });
    this.#hooks = [
      clientApproval,
      torrentApproval,
      createIntervalVariation({
        modifyResponseProbability: 0.5,
        maxIncreaseDelta: 60,
        modifyMinInterval: true,
      }),
      {
        name: "params",
        handleAnnounce: ({ params, port }) => {
          if (port < 10_000)
            void `${params.path}${params.query}${params.get("key")}${params.route("passkey")}`;
        },
      },
      {
        name: "late",
        handleAnnounce: ({ port }) => (port % 16 === 7 ? this.#later() : undefined),
        handleScrape: ({ infoHashes }) => (infoHashes[19] === 7 ? this.#later() : undefined),
      },
    ];
    const onError = (error: unknown) => {
      this.#failure ??= error;
    };
    const settings = { interval: 1800, minInterval: 900, preHooks: this.#hooks, postHooks: this.#hooks };
    this.#logic = new TrackerLogic(this.#store, settings, (_where, error) => onError(error));
    this.#options = {
      ...httpOptions,
      listen: [{ host: "127.0.0.1", port: 0 }],
      trustedProxies: ["10.0.0.0/8"],
    };
    this.#frontend = new HttpFrontend(this.#options, {
      logic: this.#logic,
      clock: this.#clock,
      metrics: this.#metrics,
      requests: reporterOf(http, this.#metrics, this.#observer),
      onError,
      listen: this.#listener.listen,
    });
  }

  input(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  async run(cases: number): Promise<void> {
    if (this.#listener.handler === undefined) await this.#frontend.start();
    for (let i = 0; i < cases; i++) {
      if (i % 500 === 0) this.#reconfigure();
      await this.#connect();
      this.count++;
      if (this.#failure !== undefined) throw this.#failure;
    }
    await this.#logic.drained();
  }

  check(): void {
    checkMemory(this.#store.memory);
    const open = this.#metrics.snapshot().find(({ name }) => name === "chihaya_http_connections");
    ensure(open?.series[0]?.values[0] === 0, () => "a connection was forgotten");
  }

  async stop(deadline: AbortSignal): Promise<void> {
    await this.#frontend.stop(deadline);
    ensure(this.#open === 0, () => `${this.#open} more requests have begun than have ended`);
  }

  #later(): Promise<void> {
    this.#isLate = true;
    return Promise.resolve();
  }

  #reconfigure(): void {
    const random = this.#random;
    this.#options = {
      ...this.#options,
      allowIpSpoofing: oneIn(random, 2),
      keepAlive: !oneIn(random, 8),
      proxyProtocol: oneIn(random, 2),
      realIpHeader: pick(random, ["", "x-forwarded-for"]),
      maxNumWant: pick(random, [1, 50, 200]),
      maxScrapeInfoHashes: pick(random, [1, 50]),
      maxHeaderBytes: pick(random, [512, 4096, 8192]),
      requestTiming: oneIn(random, 4),
    };
    this.#frontend.prepare(this.#options)();
    const preHooks = this.#hooks.filter(() => !oneIn(random, 3));
    const postHooks = oneIn(random, 2) ? this.#hooks : [];
    void this.#logic.update({ interval: 1800, minInterval: 900, preHooks, postHooks });
    this.#clock.seconds += below(random, 4000);
    this.#store.expire();
  }

  /** Runs one connection from its first byte to its end. */
  async #connect(): Promise<void> {
    const random = this.#random;
    const connection = this.#connection;
    const handler = this.#listener.handler!;
    connection.begin(pick(random, remotes));
    connection.isSlow = oneIn(random, 16);
    this.#generate();
    const state = handler.opened(connection);
    for (let at = 0; at < this.#length && !connection.isOver; ) {
      if (connection.isPaused) await this.#goOn(state);
      const end = Math.min(this.#length, at + this.#pieceLength());
      handler.received(state, this.#bytes, at, end);
      at = end;
      if (oneIn(random, 64)) this.#frontend.sweep();
    }
    await this.#goOn(state);
    this.#checkResponses();
    if (!connection.isOver) this.#leave(state);
    await this.#goOn(state);
    ensure(connection.isOver, () => "a connection that does not end");
    handler.closed(state);
    ensure(connection.wrong === undefined, () => connection.wrong!);
  }

  #checkResponses(): void {
    const { sent, sentLength, isOver } = this.#connection;
    const statuses = readResponses(sent, sentLength);
    if (this.#sound === 0) return;
    const expected = this.#options.keepAlive ? this.#sound : 1;
    const isRight = statuses.length === expected && statuses.every((status) => status === "200");
    ensure(isRight, () => `${this.#sound} sound requests were answered with ${statuses}`);
    ensure(isOver !== this.#options.keepAlive, () => "the connection was not kept, or kept, as it should be");
  }

  /** The client shuts its side down, or falls silent until the sweep has had enough. */
  #leave(state: HttpConnection): void {
    this.#connection.sentLength = 0;
    if (oneIn(this.#random, 4)) {
      this.#clock.seconds += 60;
      this.#frontend.sweep();
    } else {
      this.#listener.handler!.ended(state);
    }
  }

  /** Lets hooks answer, the client take what it was sent, and other connections have their turn. */
  async #goOn(state: HttpConnection): Promise<void> {
    const connection = this.#connection;
    for (let turn = 0; turn < 10_000; turn++) {
      if (connection.pending > 0) {
        connection.pending = 0;
        this.#listener.handler!.drained(state);
      }
      if (!connection.isPaused && !this.#isLate) return;
      this.#isLate = false;
      await new Promise(setImmediate);
    }
    throw new Error("a connection that is paused for ever");
  }

  /** Fills the stream: mostly sound requests, and what follows a slip. */
  #generate(): void {
    const random = this.#random;
    const { maxHeaderBytes, proxyProtocol } = this.#options;
    const { remote } = this.#connection;
    this.#length = 0;
    this.#isLate = false;
    let isSound = true;
    const isProxied = proxyProtocol && remote.bytes[0] === 10;
    if (isProxied !== oneIn(random, 64)) this.#put(pick(random, proxyHeaders));
    if (isProxied !== this.#length > 0) isSound = false;
    const requests = oneIn(random, 64) ? 1 + below(random, 200) : 1 + below(random, 4);
    for (let i = 0; i < requests; i++) {
      const start = this.#length;
      this.#putRequest();
      if (this.#length - start > maxHeaderBytes) isSound = false;
    }
    if (oneIn(random, 16)) {
      this.#put(pick(random, refusedLines));
      isSound = false;
    }
    if (oneIn(random, 2)) {
      this.#length = mutate(random, this.#bytes, 0, this.#length, capacity);
      isSound = false;
    }
    if (this.#length === capacity) isSound = false;
    this.#sound = isSound ? requests : 0;
  }

  #putRequest(): void {
    const random = this.#random;
    let target: string;
    if (oneIn(random, 4)) {
      target = `/scrape?${pick(random, scrapeQueries)}`;
    } else {
      const path = pick(random, ["/announce", "/announce", "/announce/0123456789abcdef", "//announce"]);
      // Few different peers, so that they meet again; some ports make the hook wait.
      target = `${path}?${pick(random, announceQueries)}&port=${1 + below(random, 300)}`;
    }
    let head = "";
    for (let left = below(random, 4); left > 0; left--) head += pick(random, headers);
    this.#put(`GET ${target} HTTP/1.1\r\nHost: x\r\n${head}\r\n`);
  }

  /** Appends Latin-1 text as far as there is room. */
  #put(text: string): void {
    const length = Math.min(text.length, capacity - this.#length);
    for (let i = 0; i < length; i++) this.#bytes[this.#length + i] = text.charCodeAt(i);
    this.#length += length;
  }

  #pieceLength(): number {
    const random = this.#random;
    return oneIn(random, 2) ? capacity : 1 + below(random, pick(random, [1, 16, 256, 4096]));
  }
}
