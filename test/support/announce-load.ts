import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { createRandom, type Random } from "../../src/lib/clock.ts";
import { createAnnounceRequest, parseResponse } from "../../src/protocol/udp/client.ts";
import { RawClient } from "../fixtures/http-server.ts";
import { UdpClient } from "./udp.ts";

/** The result of a load. */
export interface LoadReport {
  announces: number;
  seconds: number;
  /** Datagrams that were sent again, to another tracker, because the first one has not responded. */
  resent: number;
  /** Milliseconds from the time at which an announce was due to its response. */
  latencyMs: { p50: number; p99: number; max: number };
}

/** Address of a tracker. If it changes during a load, requests without a response are sent again to the new address. */
export interface TrackerPorts {
  udp: number;
  http: number;
}

interface Torrent {
  infoHash: Uint8Array;
  /** The peers that the tracker must have at the end: by port, whether the peer is a seeder. */
  peers: Map<number, boolean>;
}

/** Sends a request of a client to the tracker. @returns how often the request was sent again */
type Announce = (
  infoHash: Uint8Array,
  peerId: Uint8Array,
  port: number,
  left: number,
  event: AnnounceEvent,
) => Promise<number>;

/** How often a socket without a response looks whether its tracker has moved. */
const lookMs = 1000;
/** A connection id is valid for two minutes (BEP 15). */
const connectEveryMs = 60_000;

/**
 * Announces at a steady rate from many sockets. Half of them use UDP, half use HTTP connections that stay open. Keeps a
 * model of the peers that the tracker must have at the end. Announces are sent on time even if earlier responses are
 * missing; only announces of one socket wait for each other. Rejects if the tracker refuses an announce; does not end if the
 * tracker drops one.
 */
export class AnnounceLoad {
  readonly torrents: readonly Torrent[];
  readonly #random: Random = createRandom(2026);
  readonly #sockets: { announce: Announce; last: Promise<void>; ports: number[] }[] = [];
  readonly #latencies: number[] = [];
  #resent = 0;
  #nextPort = 1024;

  private constructor(torrents: number) {
    this.torrents = Array.from({ length: torrents }, (_, i) => ({
      infoHash: Buffer.from(`torrent ${String(i).padStart(12, "0")}`),
      peers: new Map(),
    }));
  }

  /** Seeders and leechers that each torrent must have in the end. */
  expectedCounts(): [seeders: number, leechers: number][] {
    return this.torrents.map(({ peers }) => {
      const seeders = [...peers.values()].filter((isSeeder) => isSeeder).length;
      return [seeders, peers.size - seeders];
    });
  }

  /** @param ports  ports of one tracker, or of several that share their swarms; sockets and peers are divided among them */
  static async open(
    t: TestContext,
    ports: TrackerPorts | readonly TrackerPorts[],
    sockets = 32,
  ): Promise<AnnounceLoad> {
    const load = new AnnounceLoad(200);
    const trackers = [ports].flat();
    for (let i = 0; i < sockets; i++) {
      const tracker = trackers[(i >> 1) % trackers.length]!;
      const announce = i % 2 ? await overUdp(t, tracker) : overHttp(t, tracker);
      load.#sockets.push({ announce, last: Promise.resolve(), ports: [] });
    }
    return load;
  }

  async run(seconds: number, perSecond: number): Promise<LoadReport> {
    const total = seconds * perSecond;
    const start = performance.now();
    const failed = Promise.withResolvers<never>();
    for (let sent = 0; sent < total; ) {
      const due = Math.min(total, Math.floor(((performance.now() - start) / 1000) * perSecond));
      for (; sent < due; sent++) {
        const socket = this.#sockets[sent % this.#sockets.length]!;
        const dueAt = start + (sent / perSecond) * 1000;
        socket.last = socket.last.then(() => this.#one(socket, dueAt));
        socket.last.catch(failed.reject);
      }
      await Promise.race([wait(2), failed.promise]);
    }
    await Promise.all(this.#sockets.map(({ last }) => last));
    const sorted = this.#latencies.sort((a, b) => a - b);
    const quantile = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
    return {
      announces: sorted.length,
      seconds: (performance.now() - start) / 1000,
      resent: this.#resent,
      latencyMs: { p50: quantile(0.5), p99: quantile(0.99), max: quantile(1) },
    };
  }

  /** Announces a new peer, or an earlier peer that announces again, completes or stops. Each peer always uses one socket. */
  async #one({ announce, ports }: { announce: Announce; ports: number[] }, dueAt: number): Promise<void> {
    const isNew = ports.length === 0 || (this.#random.next() % 2 === 0 && this.#nextPort <= 0xffff);
    const port = isNew ? this.#nextPort++ : ports[this.#random.next() % ports.length]!;
    if (isNew) ports.push(port);
    const { infoHash, peers } = this.torrents[port % this.torrents.length]!;
    const dice = this.#random.next() % 10;
    const wasSeeder = peers.get(port) ?? dice < 3;
    const isStopped = !isNew && dice === 9;
    const completes = !isNew && dice === 8 && !wasSeeder;
    const isSeeder = wasSeeder || completes;
    if (isStopped) peers.delete(port);
    else peers.set(port, isSeeder);

    let event: AnnounceEvent = AnnounceEvent.none;
    if (isNew) event = AnnounceEvent.started;
    else if (isStopped) event = AnnounceEvent.stopped;
    else if (completes) event = AnnounceEvent.completed;
    const peerId = Buffer.from(`-TR3000-${String(port).padStart(12, "0")}`);
    const resent = await announce(infoHash, peerId, port, isSeeder ? 0 : 1, event);
    this.#resent += resent; // a separate statement: other requests add to the sum during the await
    this.#latencies.push(performance.now() - dueAt);
  }
}

const eventTexts = ["", "completed", "started", "stopped"];

function overHttp(t: TestContext, tracker: TrackerPorts): Announce {
  let port = tracker.http;
  let client = new RawClient(t, port);
  const ask = async (target: string): Promise<{ status: number; body: string }> => {
    try {
      return await client.get(target);
    } catch (error) {
      if (port === tracker.http) throw error;
      port = tracker.http;
      client = new RawClient(t, port);
      return client.get(target);
    }
  };
  return async (infoHash, peerId, announcedPort, left, event) => {
    const escaped = encodeURIComponent(Buffer.from(infoHash).toString("latin1"));
    const query = `info_hash=${escaped}&peer_id=${peerId}&port=${announcedPort}&uploaded=0&downloaded=0`;
    const { status, body } = await ask(
      `/announce?${query}&left=${left}&event=${eventTexts[event]}&compact=1`,
    );
    assert.deepEqual([status, body.startsWith("d8:complete")], [200, true], body);
    return 0;
  };
}

async function overUdp(t: TestContext, tracker: TrackerPorts): Promise<Announce> {
  let port = tracker.udp;
  let client = await UdpClient.open(4, port);
  t.after(() => client.close());
  let connectionId = 0n;
  let connectedAt = Number.NEGATIVE_INFINITY;
  let transactionId = 1;
  return async (infoHash, peerId, announcedPort, left, event) => {
    if (performance.now() - connectedAt > connectEveryMs) {
      connectedAt = performance.now();
      connectionId = await client.connect();
    }
    const packet = createAnnounceRequest({
      ...{ connectionId, transactionId: ++transactionId, infoHash, peerId },
      ...{ port: announcedPort, left: BigInt(left), event },
    });
    for (let resent = 0; ; resent++) {
      if (port !== tracker.udp) {
        client.close();
        port = tracker.udp;
        client = await UdpClient.open(4, port); // keeps its connection id, which trackers with the same key accept
      }
      client.send(packet);
      while (port === tracker.udp) {
        const answered = new AbortController();
        const late = wait(lookMs, undefined, { signal: answered.signal }).catch(() => undefined);
        const received = await Promise.race([client.receive(), late]);
        answered.abort();
        const answer = received && parseResponse(received.bytes, 4);
        if (answer?.transactionId !== transactionId) continue;
        assert.equal(answer.action, "announce", JSON.stringify(answer));
        return resent;
      }
    }
  };
}
