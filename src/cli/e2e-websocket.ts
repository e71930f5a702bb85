import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { AnnounceEvent } from "../bittorrent/event.ts";
import { withSession } from "../client/tracker-client.ts";
import type { WebOffer, WebRelay, WebSocketSession } from "../client/websocket.ts";
import { TimeoutError, withTimeout } from "../lib/with-timeout.ts";
import { CheckFailure, expectCount, peerIdOf, type Trace } from "./e2e-check.ts";

/** For this many milliseconds, an offer or answer may be on its way. */
const relayMs = 5000;

/**
 * Checks a tracker over WebSocket. Two peers of a new swarm announce: the first peer must get the offer of the second, and the
 * second peer must get the answer to this offer. A scrape must count both. Then one peer stops, the other closes its
 * WebSocket, and a scrape must count none.
 * @throws CheckFailure, or TrackerError (the promise rejects)
 */
export async function checkWebSocket(url: string, delayMs: number, trace: Trace): Promise<void> {
  const options = { timeoutMs: 15_000 + delayMs };
  const infoHash = randomBytes(20);
  const scrape = async (session: WebSocketSession) => {
    const [counts] = await session.scrape([infoHash]);
    trace(`${url}: scrape: ${JSON.stringify(counts)}`);
    return counts;
  };
  await withSession(url, options, async (first) => {
    const firstId = peerIdOf(0x14);
    await announce(first, { infoHash, peerId: firstId }, []);
    await wait(delayMs);
    await withSession(url, options, async (second) => {
      const secondId = peerIdOf(0x15);
      const sent: WebOffer = { id: randomBytes(20), sdp: "v=0\r\ns=chihaya e2e \u00fc\r\n" };
      const response = await announce(second, { infoHash, peerId: secondId }, [sent]);
      trace(`${url}: announce: ${JSON.stringify(response)}`);
      const offer = await relayed(first, infoHash, "the first peer did not get the second peer's offer");
      expectRelay("offer", offer, sent, secondId);
      first.answer(infoHash, firstId, offer, "v=0\r\ns=answer\r\n");
      const answer = await relayed(second, infoHash, "the second peer did not get the first peer's answer");
      expectRelay("answer", answer, { id: sent.id, sdp: "v=0\r\ns=answer\r\n" }, firstId);
      expectCount("after both announced", await scrape(second), 2);
      await announce(first, { infoHash, peerId: firstId }, [], AnnounceEvent.stopped);
      expectCount("after the first peer stopped", await scrape(second), 1);
    });
    // The tracker may take a moment to notice the end of the WebSocket.
    let counts = await scrape(first);
    for (const end = Date.now() + relayMs; counts?.incomplete === 1 && Date.now() < end; ) {
      await wait(100);
      counts = await scrape(first);
    }
    expectCount("after the second peer's WebSocket was closed", counts, 0);
  });
}

function announce(
  session: WebSocketSession,
  peer: { infoHash: Uint8Array; peerId: Uint8Array },
  offers: WebOffer[],
  event: AnnounceEvent = AnnounceEvent.started,
) {
  return session.announce({ ...peer, port: 0, left: 100n, numWant: 1, event }, offers);
}

async function relayed(session: WebSocketSession, infoHash: Uint8Array, failure: string): Promise<WebRelay> {
  try {
    return await withTimeout(relayMs, session.relayed(infoHash), failure);
  } catch (error) {
    throw error instanceof TimeoutError ? new CheckFailure(error.message, { cause: error }) : error;
  }
}

function expectRelay(kind: WebRelay["kind"], relay: WebRelay, sent: WebOffer, from: Uint8Array): void {
  const isSame = relay.kind === kind && relay.sdp === sent.sdp;
  if (isSame && Buffer.compare(relay.id, sent.id) === 0 && Buffer.compare(relay.peerId, from) === 0) return;
  throw new CheckFailure(`the relayed ${kind} is not what was sent: ${JSON.stringify(relay)}`);
}
