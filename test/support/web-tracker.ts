import type { TestContext } from "node:test";
import { allDefaultsOf } from "../../src/frontend/define-frontend.ts";
import type { Handover } from "../../src/frontend/handover.ts";
import { HttpFrontend } from "../../src/frontend/http/http-frontend.ts";
import type { HttpOptions } from "../../src/frontend/http/options.ts";
import { websocket } from "../../src/frontend/websocket/index.ts";
import type { WebSocketOptions } from "../../src/frontend/websocket/options.ts";
import { WebSocketFrontend } from "../../src/frontend/websocket/websocket-frontend.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { type LogicSettings, TrackerLogic } from "../../src/middleware/logic.ts";
import { type Network, portableNetwork } from "../../src/net/network.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { renderPrometheus } from "../../src/observability/prometheus.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";
import { httpOptions } from "../fixtures/http-server.ts";
import { reporterOf } from "./observed.ts";
import { WebClient } from "./web-client.ts";

/** The default options. */
export const webOptions: WebSocketOptions = allDefaultsOf(websocket);

/** An HTTP and a WebSocket frontend over one store, with a clock in the test's hands. */
export class WebTracker {
  readonly clock: { seconds: number; unixSeconds: number } = { seconds: 1000, unixSeconds: 0 };
  readonly errors: unknown[] = [];
  readonly metrics: Metrics = new Metrics();
  readonly store: MemoryStore;
  readonly httpOptions: HttpOptions;
  readonly http: HttpFrontend;
  readonly web: WebSocketFrontend;
  readonly #t: TestContext;

  constructor(
    t: TestContext,
    options: Partial<WebSocketOptions>,
    settings: Partial<LogicSettings>,
    http: Partial<HttpOptions>,
    network: Network,
  ) {
    this.#t = t;
    const { clock, metrics } = this;
    const config = { gcInterval: 180, peerLifetime: 1860, maxPeers: 10_000, peerIds: false };
    this.store = new MemoryStore({ config, clock, random: createRandom(1) });
    const hooks = { interval: 1800, minInterval: 900, preHooks: [], postHooks: [], ...settings };
    const logic = new TrackerLogic(this.store, hooks, (_where, error) => this.errors.push(error));
    const handover: Handover = {};
    const { listenStream: listen } = network;
    const onError = (error: Error) => this.errors.push(error);
    const shared = { logic, clock, metrics, handover, listen, onError };
    const requests = reporterOf(websocket, metrics);
    const store = this.store;
    this.httpOptions = { ...httpOptions, listen: [{ host: "127.0.0.1", port: 0 }], ...http };
    this.http = new HttpFrontend(this.httpOptions, shared);
    const own = { store, requests, logger: silentLogger };
    this.web = new WebSocketFrontend({ ...webOptions, ...options }, { ...shared, ...own });
  }

  static async start(
    t: TestContext,
    options: Partial<WebSocketOptions> = {},
    settings: Partial<LogicSettings> = {},
    http: Partial<HttpOptions> = {},
    network: Network = portableNetwork,
  ): Promise<WebTracker> {
    const tracker = new WebTracker(t, options, settings, http, network);
    await tracker.http.start();
    await tracker.web.start();
    t.after(async () => {
      await Promise.all([tracker.web.stop(AbortSignal.abort()), tracker.http.stop(AbortSignal.abort())]);
    });
    return tracker;
  }

  get port(): number {
    return Number(new URL(this.web.urls()[0]!).port);
  }

  open(path?: string, headers?: Readonly<Record<string, string>>, before?: string): Promise<WebClient> {
    return WebClient.open(this.#t, this.port, path, headers, before);
  }

  /** Lets seconds pass, one after the other, with the checks of each. */
  pass(seconds: number): void {
    for (let n = 0; n < seconds; n++) {
      this.clock.seconds++;
      this.web.sweep();
    }
  }

  /** Returns the value of a series: `chihaya_web_offers_total{result="relayed"}`. */
  async count(series: string): Promise<number> {
    const text = renderPrometheus(await this.metrics.scrape());
    const line = text.split("\n").find((each) => each.startsWith(`${series} `));
    return line === undefined ? Number.NaN : Number(line.slice(series.length + 1));
  }
}

/** Returns an id of 20 characters. */
export function webId(text: string): string {
  return text.padEnd(20, ".");
}

export const webHash: string = webId("torrent");

/** Makes an announce with `offers` offers. */
export function webAnnounce(
  name: string,
  offers = 0,
  fields: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return {
    action: "announce",
    info_hash: webHash,
    peer_id: webId(name),
    left: 1,
    numwant: offers,
    offers: Array.from({ length: offers }, (_, i) => ({
      offer: { type: "offer", sdp: `offer ${i} of ${name}` },
      offer_id: webId(`${name}-${i}`),
    })),
    ...fields,
  };
}

/** Makes the answer to an offer that was relayed to the client. */
export function webAnswer(name: string, offerId: unknown): Record<string, unknown> {
  const answer = { type: "answer", sdp: `answer of ${name}` };
  return {
    action: "announce",
    info_hash: webHash,
    peer_id: webId(name),
    to_peer_id: webId("?"),
    offer_id: offerId,
    answer,
  };
}
