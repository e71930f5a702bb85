/**
 * For tests of hooks: {@link testHook} runs one as in a tracker, with a store behind it, and without sockets. The clock is
 * the test's, and so is the randomness. {@link announce} and {@link scrape} ask a tracker that runs, over HTTP and UDP.
 */

import { AnnounceRequest, AnnounceResponse } from "./bittorrent/announce.ts";
import type { ClientError } from "./bittorrent/client-error.ts";
import { AnnounceEvent, type eventName } from "./bittorrent/event.ts";
import { parseInfoHash } from "./bittorrent/info-hash.ts";
import type { Params } from "./bittorrent/params.ts";
import { compactLength, PeerList } from "./bittorrent/peer-list.ts";
import { ScrapeRequest, ScrapeResponse } from "./bittorrent/scrape.ts";
import { Address } from "./ip/address.ts";
import { createRandom, type Random } from "./lib/clock.ts";
import type { HookDefinition } from "./middleware/define-hook.ts";
import { type Hook, RequestContext } from "./middleware/hook.ts";
import { TrackerLogic } from "./middleware/logic.ts";
import { defaultLimits, type HookLimits } from "./middleware/with-deadline.ts";
import type { Logger } from "./observability/logger.ts";
import { type Labels, Metrics } from "./observability/metrics.ts";
import { MemoryStore } from "./storage/memory/memory-store.ts";
import { createHookWithDeadline } from "./tracker/compose.ts";
import { LocalHub } from "./tracker/share-hub.ts";

export type { AnnounceParameters, AnnounceResult, SwarmCounts } from "./client/exchange.ts";
export { announce, scrape } from "./client/tracker-client.ts";

/** Where the hook stands, and what bounds it. */
export interface HookTestSettings {
  /** `prehook` unless given. */
  as?: "prehook" | "posthook";
  limits?: Partial<HookLimits>;
  /** Other hooks before it, started and stopped with it. */
  before?: readonly Hook[];
  random?: Random;
}

/** An announce; each field has a default. */
export interface TestAnnounce {
  /** 40 hexadecimal digits. */
  infoHash?: string;
  /** 20 characters. */
  peerId?: string;
  address?: string;
  port?: number;
  event?: ReturnType<typeof eventName>;
  uploaded?: bigint;
  downloaded?: bigint;
  /** 0 makes it a seeder; 1 unless given. */
  left?: bigint;
  numWant?: number;
  /** Path and query: `/announce?passkey=x`. */
  url?: string;
  /** Parameters that the route took from the path. */
  route?: Readonly<Record<string, string>>;
}

/** The response to an announce. After a refusal, only `refusal` counts. */
export interface TestAnnounceResult {
  /** Why it was refused, or undefined. */
  refusal: ClientError | undefined;
  complete: number;
  incomplete: number;
  snatches: number;
  interval: number;
  minInterval: number;
  warning: string | undefined;
  /** `192.0.2.1:6881`, in their order. */
  peers: string[];
  context: RequestContext;
}

export interface TestScrapeResult {
  refusal: ClientError | undefined;
  /** A row for each infohash. */
  torrents: { complete: number; incomplete: number; snatches: number }[];
}

/** A log line that a hook has written. */
export interface LoggedLine {
  level: keyof Logger;
  message: string;
  fields: Readonly<Record<string, unknown>>;
}

const interval = 1800;
const minInterval = 900;
const room = 100;
const anInfoHash = "aa".repeat(20);

/** A hook that runs, for a test to talk to. */
export class HookTester {
  /** Turn it as you like. */
  readonly clock: { seconds: number; unixSeconds: number } = { seconds: 100_000, unixSeconds: 1_700_000_000 };
  readonly metrics: Metrics = new Metrics();
  /** What it has logged. */
  readonly log: LoggedLine[] = [];
  /** What failed: the hook's name, or `storage`, and the error. */
  readonly failures: { where: string; error: unknown }[] = [];
  readonly store: MemoryStore;
  hook!: Hook;
  #logic!: TrackerLogic;
  readonly #random: Random;
  #before: readonly Hook[] = [];

  constructor(random: Random = createRandom(1)) {
    this.#random = random;
    const config = { gcInterval: 180, peerLifetime: 1860, maxPeers: 10_000, peerIds: false };
    this.store = new MemoryStore({ config, clock: this.clock, random });
  }

  /** Makes the hook, and starts it after those before it. */
  async start(
    hook: Hook | HookDefinition<never>,
    options: unknown,
    { as = "prehook", limits = {}, before = [] }: HookTestSettings,
  ): Promise<void> {
    this.#before = before;
    this.hook = "create" in hook ? await this.#create(hook, options, limits) : hook;
    const preHooks = as === "prehook" ? [...before, this.hook] : before;
    const postHooks = as === "posthook" ? [this.hook] : [];
    this.#logic = new TrackerLogic(
      this.store,
      { interval, minInterval, preHooks, postHooks },
      (where, error) => this.failures.push({ where, error }),
    );
    for (const each of [...before, this.hook]) await each.start?.();
  }

  /** Stops the hooks, when they are done with all that they wait for. */
  async stop(): Promise<void> {
    await this.#logic.drained();
    for (const each of [this.hook, ...this.#before]) await each.stop?.();
  }

  /** Sends an announce through the hook and the store. */
  async announce(announce: TestAnnounce = {}): Promise<TestAnnounceResult> {
    const request = createAnnounce(announce);
    const response = new AnnounceResponse(
      new PeerList(4, new Uint8Array(room * compactLength[4])),
      new PeerList(6, new Uint8Array(room * compactLength[6])),
    );
    response.peers4.limit = response.peers6.limit = room;
    const context = new RequestContext();
    const refusal = await this.#logic.handleAnnounce(request, response, context);
    if (!refusal) this.#logic.afterAnnounce(request, response, context);
    const { complete, incomplete, snatches, warning } = response;
    const peers = [response.peers4, response.peers6].flatMap(readPeers);
    const intervals = { interval: response.interval, minInterval: response.minInterval };
    return { refusal, complete, incomplete, snatches, ...intervals, warning, peers, context };
  }

  /** Sends a scrape through the hook and the store. */
  async scrape(
    infoHashes: readonly string[] = [anInfoHash],
    { address = "192.0.2.1", url = "/scrape", route }: Pick<TestAnnounce, "address" | "url" | "route"> = {},
  ): Promise<TestScrapeResult> {
    const request = new ScrapeRequest(infoHashes.length);
    for (const infoHash of infoHashes) request.add(bytesOf(infoHash), 0);
    request.address.copyFrom(Address.parse(address));
    setUrl(request.params, url, route);
    const response = new ScrapeResponse(infoHashes.length);
    const context = new RequestContext();
    const refusal = await this.#logic.handleScrape(request, response, context);
    if (!refusal) this.#logic.afterScrape(request, response, context);
    const torrents = infoHashes.map((_, i) => ({
      complete: response.complete(i),
      incomplete: response.incomplete(i),
      snatches: response.snatches(i),
    }));
    return { refusal, torrents };
  }

  /** Waits for asynchronous posthooks. */
  async drained(): Promise<void> {
    await this.#logic.drained();
  }

  /** The value of a counter or gauge that the hook has registered. @throws Error where there is none */
  metric(name: string, labels: Labels = {}): number {
    const family = this.metrics.snapshot().find((one) => one.name === name);
    const wanted = Object.entries(labels);
    const found = family?.series.find((one) => wanted.every(([key, value]) => one.labels[key] === value));
    if (found === undefined) throw new Error(`no metric ${name} ${JSON.stringify(labels)}`);
    return found.values[0]!;
  }

  async #create(
    definition: HookDefinition<never>,
    options: unknown,
    limits: Partial<HookLimits>,
  ): Promise<Hook> {
    const line =
      (level: keyof Logger): Logger["info"] =>
      (fields, message) =>
        this.log.push({ level, message, fields });
    const logger = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
    const { clock, metrics, store } = this;
    const random = this.#random;
    const hub = new LocalHub({ clock, random });
    const parts = { clock, random, metrics, logger, hub, owner: 1, store };
    return createHookWithDeadline(definition, options, { ...defaultLimits, ...limits }, parts, new Map());
  }
}

/**
 * Makes and starts a hook for a test. Stop it when the test is over.
 *
 *     const hook = await testHook(myHook, { limit: 3 });
 *     const { refusal } = await hook.announce({ url: "/announce?passkey=x" });
 *
 * @param options  as they would stand in the configuration, with YAML's types
 */
export async function testHook<Options>(
  hook: Hook | HookDefinition<Options>,
  options?: unknown,
  settings: HookTestSettings = {},
): Promise<HookTester> {
  const tester = new HookTester(settings.random);
  await tester.start(hook as Hook | HookDefinition<never>, options, settings);
  return tester;
}

function createAnnounce(announce: TestAnnounce): AnnounceRequest {
  const {
    infoHash = anInfoHash,
    peerId = "-XX0001-123456789012",
    address = "192.0.2.1",
    port = 6881,
  } = announce;
  const request = new AnnounceRequest();
  request.infoHash.set(bytesOf(infoHash));
  request.peerId.set(new TextEncoder().encode(peerId).subarray(0, 20));
  request.address.copyFrom(Address.parse(address));
  request.port = port;
  request.event = AnnounceEvent[announce.event ?? "none"];
  request.uploaded = announce.uploaded ?? 0n;
  request.downloaded = announce.downloaded ?? 0n;
  request.left = announce.left ?? 1n;
  request.numWant = announce.numWant ?? 50;
  setUrl(request.params, announce.url ?? "/announce", announce.route);
  return request;
}

function bytesOf(infoHash: string): Uint8Array {
  const bytes = parseInfoHash(infoHash);
  if (bytes === undefined) throw new RangeError(`not an infohash: ${infoHash}`);
  return bytes;
}

function setUrl(params: Params, url: string, route: TestAnnounce["route"]): void {
  const bytes = new TextEncoder().encode(url);
  const mark = bytes.indexOf("?".charCodeAt(0));
  params.set(bytes, 0, mark < 0 ? bytes.length : mark, bytes.length);
  if (route !== undefined) params.setRoute(new Map(Object.entries(route)));
}

function readPeers({ family, bytes, view, at, count }: PeerList): string[] {
  const address = new Address();
  return Array.from({ length: count }, (_, i) => {
    const start = at + i * compactLength[family];
    address.set(family, bytes, start);
    const port = view.getUint16(start + compactLength[family] - 2);
    return `${family === 6 ? `[${address}]` : address}:${port}`;
  });
}
