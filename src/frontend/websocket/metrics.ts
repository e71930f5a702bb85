import type { Counter, Metrics } from "../../observability/metrics.ts";
import { countTraffic } from "../traffic.ts";

/** The results of an offer. */
export type OfferResult = "relayed" | "no_target" | "glare" | "slow" | "ring_full";
/** The results of an answer: relayed; no such offer; the client that made the offer is gone or has left the torrent. */
export type AnswerResult = "relayed" | "unknown" | "gone" | "slow" | "ring_full";

/** Why a WebSocket is refused. */
export const gateRefusals = ["handshake", "origin", "limit", "stopping", "storage"] as const;
export type GateRefusal = (typeof gateRefusals)[number];

/** Counters of sockets. */
export interface SocketCounters {
  readonly received: Counter;
  readonly sent: Counter;
  readonly pingsTimedOut: Counter;
  /** Sockets that were closed because their clients did not take their bytes. */
  readonly slow: Counter;
  /** Counts a socket that is closed for a fault of its client. */
  failed(code: number): void;
}

/** Counters of the frontend. */
export interface WebSocketCounters extends SocketCounters {
  readonly messages: Readonly<Record<"announce" | "answer" | "scrape" | "invalid", Counter>>;
  readonly offers: Readonly<Record<OfferResult, Counter>>;
  readonly answers: Readonly<Record<AnswerResult, Counter>>;
  readonly refused: Readonly<Record<GateRefusal, Counter>>;
}

const offerResults: readonly OfferResult[] = ["relayed", "no_target", "glare", "slow", "ring_full"];
const answerResults: readonly AnswerResult[] = ["relayed", "unknown", "gone", "slow", "ring_full"];
const kinds = ["announce", "answer", "scrape", "invalid"] as const;
const faults = ["1002", "1007", "1008", "1009", "1013"] as const;

/** Registers the metrics of the frontend. */
export function createCounters(
  metrics: Metrics,
  readings: { readonly sockets: () => number; readonly memory: () => number },
): WebSocketCounters {
  metrics.gauge("chihaya_web_sockets", "WebSockets that are open", readings.sockets);
  metrics.gauge(
    "chihaya_web_partial_message_bytes",
    "Memory for incomplete WebSocket messages in bytes",
    readings.memory,
  );
  const failures = new Map(
    faults.map((code) => [
      code as string,
      metrics.counter("chihaya_web_faults_total", "WebSockets that were closed for a fault of the client", {
        code,
      }),
    ]),
  );
  return {
    ...countTraffic(metrics, "websocket"),
    messages: each(kinds, (kind) =>
      metrics.counter("chihaya_web_messages_total", "Messages of WebSocket clients", { kind }),
    ),
    offers: each(offerResults, (result) =>
      metrics.counter("chihaya_web_offers_total", "Offers of WebSocket clients by result", {
        result,
      }),
    ),
    answers: each(answerResults, (result) =>
      metrics.counter("chihaya_web_answers_total", "Answers to relayed offers by result", {
        result,
      }),
    ),
    refused: each(gateRefusals, (reason) =>
      metrics.counter("chihaya_web_refused_total", "Requests for a WebSocket that were refused", { reason }),
    ),
    pingsTimedOut: metrics.counter(
      "chihaya_web_pings_timed_out_total",
      "WebSockets that were closed because the client did not respond to a ping",
    ),
    slow: metrics.counter(
      "chihaya_web_slow_total",
      "WebSockets that were closed because the client did not read what it was sent",
    ),
    failed: (code) => failures.get(`${code}`)?.inc(),
  };
}

function each<Name extends string>(
  names: readonly Name[],
  create: (name: Name) => Counter,
): Record<Name, Counter> {
  return Object.fromEntries(names.map((name) => [name, create(name)])) as Record<Name, Counter>;
}
