import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { AnnounceEvent } from "../bittorrent/event.ts";
import { withoutBrackets } from "../lib/brackets.ts";
import {
  createAnnounceRequest,
  createConnectRequest,
  createScrapeRequest,
  parseResponse,
  type UdpResponse,
} from "../protocol/udp/client.ts";
import { compactPeers } from "./compact-peers.ts";
import type { AnnounceParameters, AnnounceResult, SwarmCounts, Transport } from "./exchange.ts";
import { TrackerError } from "./tracker-error.ts";

/** The time between two retransmissions doubles up to eight times (BEP 15): from 15 s to 64 min. */
const maxDoublings = 8;
/** Milliseconds for which a client may use a connection id (BEP 15). */
const connectionLifetimeMs = 60_000;

/** Announces over UDP (BEP 15). The peers have the family of the tracker's address. */
export async function announceOverUdp(
  url: URL,
  parameters: AnnounceParameters,
  transport: Transport,
): Promise<AnnounceResult> {
  const {
    event = AnnounceEvent.none,
    uploaded = 0n,
    downloaded = 0n,
    left,
    numWant = -1,
    key = 0,
  } = parameters;
  const { infoHash, peerId, port } = parameters;
  const urlData = url.pathname + url.search;
  const { response, family } = await exchange(url, transport, "announce", (connectionId, transactionId) =>
    createAnnounceRequest({
      connectionId,
      transactionId,
      infoHash,
      peerId,
      downloaded,
      left,
      uploaded,
      event,
      key,
      numWant,
      port,
      urlData,
    }),
  );
  return {
    interval: response.interval,
    complete: response.seeders,
    incomplete: response.leechers,
    peers: compactPeers(response.peers, family)!,
  };
}

/** Scrapes over UDP (BEP 15), at most 74 infohashes. */
export async function scrapeOverUdp(
  url: URL,
  infoHashes: readonly Uint8Array[],
  transport: Transport,
): Promise<(SwarmCounts | undefined)[]> {
  const { response } = await exchange(url, transport, "scrape", (connectionId, transactionId) =>
    createScrapeRequest(connectionId, transactionId, infoHashes),
  );
  return infoHashes.map((_, i) => {
    const row = response.rows[i];
    return row && { complete: row.seeders, incomplete: row.leechers, downloaded: row.completed };
  });
}

type ResponseTo<A extends UdpResponse["action"]> = Extract<UdpResponse, { action: A }>;

/**
 * Connects, sends the request of `create`, and returns the response. Sends each packet again after 15 s, 30 s, 60 s and so
 * on, as BEP 15 says, with a new connection id if the old one has expired.
 */
async function exchange<A extends "announce" | "scrape">(
  url: URL,
  transport: Transport,
  action: A,
  create: (connectionId: bigint, transactionId: number) => Uint8Array,
): Promise<{ response: ResponseTo<A>; family: 4 | 6 }> {
  const { signal } = transport;
  const { address, family } = await resolve(url, transport);
  const { promise, resolve: succeed, reject } = Promise.withResolvers<ResponseTo<A>>();
  const socket = createSocket(family === 6 ? "udp6" : "udp4");
  const transactionId = randomBytes(4).readUInt32BE();
  let connection: { id: bigint; since: number } | undefined;
  let attempts = 0;
  let timer: NodeJS.Timeout | undefined;

  const unreachable = (error: Error) =>
    reject(new TrackerError("unreachable", error.message, { cause: error }));
  const send = () => {
    if (connection && performance.now() - connection.since > connectionLifetimeMs) connection = undefined;
    const packet = connection ? create(connection.id, transactionId) : createConnectRequest(transactionId);
    socket.send(packet, (error) => error && unreachable(error));
    timer = setTimeout(send, transport.retransmitMs * 2 ** Math.min(attempts++, maxDoublings));
  };
  socket.on("error", unreachable);
  socket.on("message", (message) => {
    const response = parseResponse(message, family);
    if (response === undefined || response.transactionId !== transactionId) return; // late, or for another request
    if (response.action === "error") {
      reject(new TrackerError("refused", response.message));
    } else if (response.action === "connect" && !connection) {
      connection = { id: response.connectionId, since: performance.now() };
      attempts = 0;
      clearTimeout(timer);
      send();
    } else if (response.action === action) {
      succeed(response as ResponseTo<A>);
    }
  });
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    signal.throwIfAborted();
    await connect(socket, Number(url.port), address, promise);
    send();
    return { response: await promise, family };
  } finally {
    signal.removeEventListener("abort", abort);
    clearTimeout(timer);
    socket.close();
  }
}

/** Connects the socket: it receives only datagrams of the tracker, and an error if the port of the tracker is closed. */
async function connect(
  socket: Socket,
  port: number,
  address: string,
  failure: Promise<unknown>,
): Promise<void> {
  await Promise.race([new Promise<void>((done) => socket.connect(port, address, done)), failure]);
}

async function resolve(url: URL, transport: Transport): Promise<{ address: string; family: 4 | 6 }> {
  const host = withoutBrackets(url.hostname);
  const { signal } = transport;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort); // a lookup cannot be aborted
  try {
    const found = await Promise.race([lookup(host, { family: transport.family ?? 0 }), aborted]);
    return { address: found.address, family: found.family === 6 ? 6 : 4 };
  } catch (error) {
    signal.throwIfAborted();
    throw new TrackerError("unreachable", `${host}: ${(error as Error).message}`, { cause: error });
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
